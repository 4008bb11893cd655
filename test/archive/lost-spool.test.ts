import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { test } from 'node:test'
import type { Database } from '../../src/database/database.ts'
import type { Acceptance } from '../../src/purge/safety.ts'
import { DAY } from '../../src/time/clock.ts'
import { auditLogs, intercepted, migrated } from '../runs/support.ts'
import { BOTH_ENGINES, type TestEngine } from '../support/engines.ts'
import { archivedOnce, freshFolder, idsOf, purged, recordOf, verified } from './support.ts'
import { spoolIn } from './where.ts'

const EXPIRED_FILES_ROWS = 20
const ROWS = 2_000
const LEASES = 'UPDATE maintenance_leases SET expires_at = 0'

/**
 * A run that rewrites a part after a crash, archives the rest and removes expired files dies at one of its transactions, and what it had
 * not published is lost with its machine. The next run must finish the work. Returns whether the run had that many transactions.
 */
async function diesAt(engine: TestEngine, moment: number, side: 'before' | 'behind'): Promise<boolean> {
  await using fixture = await migrated(engine)
  await using folder = await freshFolder()
  const { outside, database } = fixture
  await auditLogs(outside, engine, EXPIRED_FILES_ROWS, 400)
  assert.equal((await purged(database, folder.path)).outcome, 'succeeded')
  await auditLogs(outside, engine, ROWS, 100)
  const ids = await idsOf(outside)
  const dying = async (when: (number: number) => Promise<boolean>): Promise<void> => {
    const cut = intercepted(database, async (number, transact) => {
      const value = await transact()
      if (await when(number)) throw new Error('the machine is gone')
      return value
    })
    assert.match(String((await purged(cut, folder.path)).error), /the machine is gone/)
    await lose()
  }
  const lose = async (): Promise<void> => {
    await rm(spoolIn(folder.path), { recursive: true, force: true })
    await outside.sql(LEASES)
  }
  await dying(async () => (await idsOf(outside)).length < ROWS)
  const left = (await idsOf(outside)).length
  assert.ok(left > 0 && left < ROWS)

  let met = false
  const second: Database = intercepted(database, async (number, transact) => {
    met ||= number === moment
    if (number === moment && side === 'before') throw new Error('the machine is gone')
    const value = await transact()
    if (number === moment) throw new Error('the machine is gone')
    return value
  })
  const request = { keptMs: 365 * DAY, accepted: new Set<Acceptance>(['empty-table', 'shorter-archive-retention']) }
  const cut = await purged(second, folder.path, request)
  const at = `${side} transaction ${moment}: ${String(cut.error)}`
  assert.equal(cut.outcome, met ? 'failed' : 'succeeded', at)
  if (met) await lose()

  const next = await purged(database, folder.path, request)
  assert.equal(next.outcome, 'succeeded', `${at}; then ${String(next.error)}`)
  await archivedOnce(database, outside, folder.path, ids)
  const { problems, removedFiles, rows } = await verified(database, folder.path)
  assert.deepEqual([problems, rows], [[], ROWS], at)
  assert.ok(removedFiles >= 1, at)
  assert.equal((await recordOf(database).load(database)).step, undefined, at)
  return met
}

// The files are handled alike on both engines: every transaction is tried on the faster one, those that settle what the crash left on the other.
const SETTLING = 6
for (const engine of BOTH_ENGINES.filter(({ name }) => name !== 'postgres 15'))
  for (const side of engine.name === 'sqlite' ? (['before', 'behind'] as const) : (['behind'] as const))
    test(`${engine.name}: a run that dies ${side} any of its ${engine.name === 'sqlite' ? '' : 'first '}transactions, and loses its unpublished files, loses no row`, async () => {
      let moment = 1
      while ((engine.name === 'sqlite' || moment <= SETTLING) && (await diesAt(engine, moment, side))) moment += 1
      assert.ok(moment > SETTLING, String(moment))
    })
