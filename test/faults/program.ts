import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { compileInto } from '../support/compiled.ts'

/** Written once by each migration of ours, which does not ask whether it was applied before: a second time would show. */
export const APPLICATIONS = 'fault_applications'
export const OWN_MIGRATIONS = 6
/** Rows a migration writes, so that it takes a while in which it can be killed. */
const ROWS = 6_000

export interface TestedProgram extends AsyncDisposable {
  readonly packageRoot: string
  /** How many migrations it has, ours among them. */
  readonly migrations: number
}

/** The program of this checkout, with a few migrations more that count how often they were applied. */
export async function testedProgram(): Promise<TestedProgram> {
  const packageRoot = await mkdtemp(join(tmpdir(), 'maintenance-faults-'))
  await compileInto(packageRoot)
  const folder = join(packageRoot, 'migrations')
  const given = (await readdir(folder)).filter((name) => /^\d+_.*(?<!_sqlite)\.sql$/.test(name)).length
  for (let number = 1; number <= OWN_MIGRATIONS; number += 1) {
    const name = `${String(given + number).padStart(3, '0')}_counted_${number}`
    for (const suffix of ['', '_sqlite']) await writeFile(join(folder, `${name}${suffix}.sql`), counting(number))
  }
  return {
    packageRoot,
    migrations: given + OWN_MIGRATIONS,
    [Symbol.asyncDispose]: () => rm(packageRoot, { recursive: true, force: true }),
  }
}

function counting(number: number): string {
  return `
CREATE TABLE IF NOT EXISTS ${APPLICATIONS} (migration INTEGER NOT NULL, n INTEGER NOT NULL);
INSERT INTO ${APPLICATIONS} SELECT ${number}, n FROM (
  WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${ROWS}) SELECT n FROM numbers) AS numbers;
`
}

export { ROWS as ROWS_OF_A_MIGRATION }
