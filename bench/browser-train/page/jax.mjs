/** @file jax-js in a page. */
import * as jax from '@jax-js/jax';
import { prepareWith } from './jax-resnet.mjs';

export const prepare = (task) => prepareWith(jax, { ...task, threads: navigator.hardwareConcurrency });
