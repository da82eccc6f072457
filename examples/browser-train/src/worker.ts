/** @file The worker that trains: everything heavy happens here, so that the page stays responsive. */
import { serveTraining } from 'cuttle/train/worker-host';

serveTraining();
