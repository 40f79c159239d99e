import { enableCompileCache } from 'node:module';

/**
 * The entry: everything else is loaded after the compile cache is on, which takes loading the modules (TypeScript that
 * is stripped, then compiled) from 1.5 to 0.8 s of processor time from the second start on.
 */
enableCompileCache();
await import('./app/commands.ts');
