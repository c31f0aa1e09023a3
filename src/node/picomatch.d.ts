/** The part of picomatch 4 that we use; the package brings no types. */
declare module 'picomatch' {
  /** A test for paths; of several globs one must match. */
  function picomatch(globs: readonly string[], options?: { dot?: boolean }): (path: string) => boolean;
  export = picomatch;
}
