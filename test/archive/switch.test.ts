import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ArchivePlace } from '../../src/archive/archive-location.ts'
import { Archive } from '../../src/archive/archive.ts'
import { ArchiveCopy } from '../../src/archive/copy/copy.ts'
import { switchArchive } from '../../src/archive/copy/switch.ts'
import { DiscardedFiles } from '../../src/archive/discarded-files.ts'
import { NO_RUN } from '../../src/archive/format.ts'
import { look } from '../../src/archive/read/look.ts'
import { storeAt } from '../../src/archive/store/store-at.ts'
import { draftsOf } from '../../src/archive/write/draft-names.ts'
import { DatabaseError } from '../../src/database/database-error.ts'
import type { Database } from '../../src/database/database.ts'
import { auditLogs, intercepted, migrated } from '../runs/support.ts'
import { BOTH_ENGINES, ENGINES, type TestEngine } from '../support/engines.ts'
import { freshBucket, purgedTo, verifiedAt } from './bucket-support.ts'
import { freshFolder, idsOf, recordOf } from './support.ts'

/** As `archive copy --switch` does it, without the lease: nobody else is there. */
async function switched(database: Database, from: ArchivePlace, to: ArchivePlace): Promise<void> {
  const stopping = new AbortController().signal
  const drafts = await draftsOf(database)
  const now = await database.now()
  const archive = new Archive({
    database,
    place: from,
    drafts,
    table: 'audit_logs',
    timeColumn: 'timestamp',
    run: NO_RUN,
    program: '0',
    now,
    cutoff: now,
    retentionMs: 0,
    underLease: (work) => database.transaction(work),
    stopping,
  })
  const target = storeAt(to, 'audit_logs')
  const spool = target.spool(`copy-${drafts}`)
  const discarded = new DiscardedFiles((name) => database.named(name), 'audit_logs')
  const record = recordOf(database)
  const copy = new ArchiveCopy({
    source: archive.store,
    target,
    spool,
    look: () => look({ database, record, store: archive.store, discarded }),
    ignored: async () => new Set((await discarded.load(database, (await record.load(database)).position)).keys()),
    reading: () => {},
    copying: () => {},
    stopping,
  })
  await switchArchive({ archive, target, spool, copy, place: to.directory })
}

interface Attempt {
  readonly engine: TestEngine
  readonly to: 'folder' | 'bucket'
  readonly failing: number
  readonly fail: (transact: () => Promise<unknown>) => Promise<unknown>
}

/**
 * A switch, one of whose transactions fails. Whichever it is, the archive is at one place alone afterwards: runs go on there, and refuse at the other. Returns
 * whether the switch had that many transactions.
 */
async function failsAt({ engine, to, failing, fail }: Attempt): Promise<boolean> {
  await using fixture = await migrated(engine)
  await using folder = await freshFolder()
  await using other = await freshFolder()
  await using bucket = await freshBucket()
  const { database, outside } = fixture
  const before: ArchivePlace = { directory: folder.path, uid: process.getuid?.() }
  const after: ArchivePlace = to === 'bucket' ? bucket.place : { ...before, directory: other.path }
  for (const days of [102, 101, 100]) await auditLogs(outside, engine, 5, days)
  assert.equal((await purgedTo(before, database)).outcome, 'succeeded')

  let met = false
  const troubled = intercepted(database, (number, transact) => {
    if (number !== failing) return transact()
    met = true
    return fail(transact)
  })
  const isDone = await switched(troubled, before, after).then(
    () => true,
    (error: unknown) => {
      assert.ok(error instanceof DatabaseError, String(error))
      return false
    },
  )
  await auditLogs(outside, engine, 5, 99)
  const at = `transaction ${failing}`
  const [here, there] = isDone ? [after, before] : [before, after]
  const refuses = async (): Promise<void> => {
    const { outcome, deleted, error } = await purgedTo(there, database)
    assert.deepEqual([outcome, deleted], ['failed', 0], at)
    if (!isDone) return
    assert.match(String(error), /the archive was moved to .*, and ARCHIVE_DIRECTORY is still .*\. Nothing was deleted/)
    assert.ok(String(error).includes(`ARCHIVE_DIRECTORY=${after.directory}`))
  }
  // Where nothing was moved, a copy that is whole becomes out of date with the next run.
  if (isDone) await refuses()
  const going = await purgedTo(here, database)
  assert.deepEqual([going.outcome, going.deleted], ['succeeded', 5], `${at}: ${String(going.error)}`)
  await refuses()
  assert.deepEqual((await verifiedAt(here, database)).problems, [], at)

  if (!isDone) await switched(database, before, after)
  await auditLogs(outside, engine, 5, 98)
  const last = await purgedTo(after, database)
  assert.deepEqual([last.outcome, last.deleted], ['succeeded', 5], `${at}: ${String(last.error)}`)
  const { problems, rows } = await verifiedAt(after, database)
  assert.deepEqual([problems, rows, (await idsOf(outside)).length], [[], 25, 0], at)
  return met
}

async function everyOne(attempt: Omit<Attempt, 'failing'>): Promise<number> {
  let failing = 1
  while (await failsAt({ ...attempt, failing })) failing += 1
  return failing - 1
}

for (const engine of BOTH_ENGINES.filter(({ name }) => name !== 'postgres 15'))
  for (const to of ['folder', 'bucket'] as const)
    test(`${engine.name}: whichever transaction of a switch to a ${to} fails, the archive is at one place, and the switch can be repeated`, async () => {
      const tried = await everyOne({ engine, to, fail: () => Promise.reject(new DatabaseError('busy', 'somebody holds it')) })
      assert.ok(tried >= 3, String(tried))
    })

async function losesAnswer(transact: () => Promise<unknown>): Promise<never> {
  await transact()
  throw new DatabaseError('lost', 'the answer never came')
}

for (const to of ['folder', 'bucket'] as const)
  test(`postgres 18: whichever answer to a COMMIT of a switch to a ${to} is lost, the archive is at one place`, async () => {
    const engine = ENGINES.find(({ name }) => name === 'postgres 18')!
    const tried = await everyOne({ engine, to, fail: losesAnswer })
    assert.ok(tried >= 3, String(tried))
  })

test('back and forth: each time the archive is where it was moved to, and whole', async () => {
  const [engine] = BOTH_ENGINES
  await using fixture = await migrated(engine!)
  await using folder = await freshFolder()
  await using bucket = await freshBucket()
  const { database, outside } = fixture
  const first: ArchivePlace = { directory: folder.path, uid: process.getuid?.() }
  const places = [first, bucket.place]
  let rows = 0
  for (let turn = 0; turn < 5; turn += 1) {
    const [here, there] = [places[turn % 2]!, places[(turn + 1) % 2]!]
    await auditLogs(outside, engine!, 5, 100)
    rows += 5
    const { outcome, error } = await purgedTo(here, database)
    assert.equal(outcome, 'succeeded', String(error))
    await switched(database, here, there)
    const { problems, rows: found } = await verifiedAt(there, database)
    assert.deepEqual([problems, found], [[], rows])
    assert.equal((await purgedTo(here, database)).outcome, 'failed')
  }
})
