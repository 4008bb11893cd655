/** Folders of tests that are no part of `npm test`: they take longer than all others together. Each has a script of package.json, which `.ci/run` calls. */
export const SUITES: Readonly<Record<string, readonly string[]>> = {
  'test:archive': ['test/archive'],
  'test:process': ['test/process'],
  'test:hostile': ['test/hostile'],
  'test:shipping': ['test/browser', 'test/shipping'],
}
