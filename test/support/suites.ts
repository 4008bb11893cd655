/** Folders of tests that take longer than all others together. Each has a script of package.json, which `.ci/run` calls. */
export const SUITES: Readonly<Record<string, readonly string[]>> = {
  'test:archive': ['test/archive'],
  'test:process': ['test/process'],
  'test:hostile': ['test/hostile'],
  'test:connections': ['test/connections'],
  'test:doctor': ['test/doctor'],
  'test:shipping': ['test/browser', 'test/shipping'],
}

/** Of these the files that `npm test` runs too: what each of them is for at its most basic. */
export const CORE: readonly string[] = [
  'test/archive/purge.test.ts',
  'test/doctor/sound.test.ts',
  'test/process/run-now.test.ts',
  'test/process/worker.test.ts',
]
