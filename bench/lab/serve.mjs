/** @file The lab of the bench, in a process of its own that can be killed: node serve.mjs FOLDER PORT LEASE-MS. */
import { startLab } from '../../dist/measure/lab/server.js';

const [folder, port, leaseMs] = process.argv.slice(2);
const lab = await startLab({ folder, port: Number(port), leaseMs: Number(leaseMs), maxAttempts: 5 });
process.stdout.write(`${JSON.stringify({ url: lab.url, file: lab.file })}\n`);
process.on('SIGTERM', () => void lab.close().then(() => process.exit(0)));
