// `npm run test:partition-days`: 90 days of a gateway on a partitioned audit_logs, 30 % of its rows under a rule of 180 days, and then until all of them have
// gone. The worker is killed, stopped for 30 days, and one of two; server and worker go by a clock that the test sets. A minute for each 40 days or so.
// `--seed N` repeats the choices; `--rows N` a day (2,000); `--postgres MAJOR` one version; `--quick` weeks in place of months.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { fakeTimeLibrary } from '../faults/fake-time.ts'
import { compileInto } from '../support/compiled.ts'
import { POSTGRES_MAJORS } from '../support/postgres-server.ts'
import { MONTHS, WEEKS } from './spans.ts'
import { MOST_LOCKED_MS } from './simulation.ts'
import { daysOn, outcomeText } from './world.ts'

const { values } = parseArgs({
  options: { seed: { type: 'string' }, rows: { type: 'string' }, postgres: { type: 'string' }, quick: { type: 'boolean' } },
})
const seed = Number(values.seed ?? Math.floor(Math.random() * 1_000_000))
const majors = POSTGRES_MAJORS.filter((major) => values.postgres === undefined || String(major) === values.postgres)
const simulated = values.quick === true ? WEEKS : { ...MONTHS, rowsADay: Number(values.rows ?? MONTHS.rowsADay) }

const library = fakeTimeLibrary()
if (library === undefined) process.stdout.write('days of a partitioned table: skipped, libfaketime is not installed (Debian: faketime)\n')
else {
  const packageRoot = await mkdtemp(join(tmpdir(), 'maintenance-days-'))
  try {
    process.stdout.write(`days of a partitioned table, seed ${seed}\n`)
    await compileInto(packageRoot)
    for (const major of majors) {
      const tell = (text: string): void => void process.stderr.write(`postgres ${major}: ${text}\n`)
      const outcome = await daysOn({ major, library, seed, tell, packageRoot }, simulated)
      process.stdout.write(`postgres ${major}: ${outcomeText(outcome)}\n`)
      for (const lock of outcome.longLocks) process.stdout.write(`postgres ${major}: a lock of more than ${MOST_LOCKED_MS} ms: ${lock}\n`)
      if (outcome.longLocks.length > 0) process.exitCode = 1
    }
  } finally {
    await rm(packageRoot, { recursive: true, force: true })
  }
}
