import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DatabaseError } from '../../src/database/database-error.ts'
import type { Acceptance } from '../../src/purge/safety.ts'
import { DAY } from '../../src/time/clock.ts'
import { auditLogs, intercepted, migrated } from '../runs/support.ts'
import { BOTH_ENGINES, ENGINES, type TestEngine } from '../support/engines.ts'
import { archivedOnce, freshFolder, idsOf, purged, recordOf, verified } from './support.ts'

const EXPIRED_FILES_ROWS = 20
const ROWS = 30

type Fail = (transact: () => Promise<unknown>) => Promise<unknown>

/**
 * A run that archives rows and removes expired files, during which `fail` handles one of the transactions. Whichever it is, the run must
 * finish its work, undisturbed by what its first attempt wrote. Returns whether the run had that many transactions.
 */
async function failsAt(failing: number, engine: TestEngine, fail: Fail): Promise<boolean> {
  await using fixture = await migrated(engine)
  await using folder = await freshFolder()
  const { outside, database } = fixture
  await auditLogs(outside, engine, EXPIRED_FILES_ROWS, 400)
  assert.equal((await purged(database, folder.path)).archived?.rows, EXPIRED_FILES_ROWS)
  await auditLogs(outside, engine, ROWS, 100)
  const ids = await idsOf(outside)
  let met = false
  const troubled = intercepted(database, (number, transact) => {
    if (number !== failing) return transact()
    met = true
    return fail(transact)
  })
  const accepted = new Set<Acceptance>(['empty-table', 'shorter-archive-retention'])
  const result = await purged(troubled, folder.path, { keptMs: 365 * DAY, accepted })
  const at = `transaction ${failing}: ${String(result.error)}`
  assert.deepEqual([result.outcome, result.deleted, result.archived?.rows], ['succeeded', ROWS, ROWS], at)
  await archivedOnce(database, outside, folder.path, ids)
  const { problems, removedFiles, rows } = await verified(database, folder.path)
  assert.deepEqual([problems, rows], [[], ROWS], at)
  assert.ok(removedFiles >= 1, at)
  assert.equal((await recordOf(database).load(database)).step, undefined, at)
  return met
}

/** Returns the number of transactions that a run has. */
async function everyOne(engine: TestEngine, fail: Fail): Promise<number> {
  let failing = 1
  while (await failsAt(failing, engine, fail)) failing += 1
  return failing - 1
}

for (const engine of BOTH_ENGINES.filter(({ name }) => name !== 'postgres 15')) {
  test(`${engine.name}: whichever transaction of an archiving run meets a lock, the run finishes its work`, async () => {
    const tried = await everyOne(engine, () => Promise.reject(new DatabaseError('busy', 'somebody holds it')))
    assert.ok(tried >= 9, String(tried))
  })
}

test('postgres 18: whichever answer to a COMMIT is lost during an archiving run, the run finishes its work', async () => {
  const engine = ENGINES.find(({ name }) => name === 'postgres 18')!
  const tried = await everyOne(engine, async (transact) => {
    await transact()
    throw new DatabaseError('lost', 'the answer never came')
  })
  assert.ok(tried >= 9, String(tried))
})
