#!/usr/bin/env node
/** @file Entry point of the `cuttle` command. */
import { commandLine, setExitCode } from '../platform/node/process.js';
import { packageVersion } from '../platform/node/package.js';
import { runCommand } from './program.js';

setExitCode(await runCommand(commandLine(), await packageVersion()));
