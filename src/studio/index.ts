/** @file The studio: a local web app over a folder of models and runs. Node only; its page is in studio/. */
export { LOOPBACK_HOST, openStudio, type Studio, type StudioOptions } from './server.js';
