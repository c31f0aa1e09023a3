/** The public API: what the command line does, for programs. */

export { BlockswarmError, ERROR_CODES, type ErrorCode, exitCode } from './errors.js';
export { type BootstrapOptions, type BootstrapResult, bootstrap } from './node/bootstrap.js';
export type { Progress, Report } from './node/report.js';
export { Seeder, type SeedOptions } from './node/seed.js';
export { type SegmentTorrents, Source, type SourceOptions } from './node/source.js';
