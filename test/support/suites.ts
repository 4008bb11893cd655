/** Patterns of the tests that take longer than all others together. Each has a script of package.json, which `.ci/run` calls. */
export const SUITES: Readonly<Record<string, readonly string[]>> = {
  'test:archive': ['test/archive/*.test.ts'],
  'test:object-storage': ['test/object-storage/*.test.ts'],
  'test:process': ['test/process/*.test.ts'],
  'test:hostile': ['test/hostile/*.test.ts'],
  'test:connections': ['test/connections/*.test.ts'],
  'test:doctor': ['test/doctor/*.test.ts'],
  'test:shipping': ['test/browser/*.test.ts', 'test/shipping/*.test.ts'],
  'test:database': ['test/database/{*,sqlite/*,postgres/!(conversion*|expired-partitions*|partition-*|undo*)}.test.ts'],
  'test:partitions': [
    'test/database/postgres/{conversion,expired-partitions,partition-,undo}*.test.ts',
    'test/runs/{half-undone,make-ahead,partition,taken-out-partitions,whole-partitions}*.test.ts',
  ],
}

/** Of these the files that `npm test` runs too: what each of them is for at its most basic. */
export const CORE: readonly string[] = [
  'test/archive/purge.test.ts',
  'test/process/run-now.test.ts',
  'test/process/worker.test.ts',
  'test/database/postgres/slices.test.ts',
  'test/database/sqlite/slices.test.ts',
  'test/database/postgres/conversion.test.ts',
  'test/runs/partition-terms.test.ts',
  'test/runs/whole-partitions.test.ts',
]
