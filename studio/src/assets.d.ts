/** @file What vite makes of imports that are no code. */
declare module '*.css';
