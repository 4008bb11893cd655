import assert from 'node:assert/strict'
import { describe, it, test } from 'node:test'
import type { Store } from '../../src/archive/store/store.ts'
import { manifestOf, pathOf, ROWS_SUFFIX, type ArchivePath } from '../../src/archive/store/path.ts'
import { ERRORS, NONSENSE, type Fault } from '../support/s3/faults.ts'
import type { Operation } from '../support/s3/request.ts'
import { bucketPlace, bytesOf, PATIENT, type BucketStorePlace } from './store-places.ts'

/** Whatever a bucket answers: what a store says is true, or it says that it failed. */

const NONSENSES = Object.keys(NONSENSE) as (keyof typeof NONSENSE)[]
const FAULTS: readonly (readonly [name: string, fault: Fault])[] = [
  ...(['before', 'during', 'after'] as const).map((when) => [`lost ${when} it is done`, { kind: 'lost', when }] as const),
  ...Object.entries(ERRORS),
  ['a precondition failed', { kind: 'error', status: 412, code: 'PreconditionFailed' }],
  ['a conflict', { kind: 'error', status: 409, code: 'OperationAborted' }],
  ['not implemented', { kind: 'error', status: 501, code: 'NotImplemented' }],
  ['another region', { kind: 'redirect', region: 'us-west-2' }],
  ['a clock that is off', { kind: 'skewed', ms: 3_600_000 }],
  ['silence', { kind: 'silent' }],
  ['an answer that never ends', { kind: 'endless' }],
  ...NONSENSES.map((body) => [`${body} with 200`, { kind: 'nonsense', body }] as const),
  ...[404, 503].map((status) => [`a page with ${status}`, { kind: 'nonsense', body: 'html', status }] as const),
  ['nothing with 404', { kind: 'nonsense', body: 'empty', status: 404 }],
]

const ROWS = pathOf('audit_logs', '2026-08-25', 1, 1, ROWS_SUFFIX)
const MANIFEST = manifestOf(ROWS)
const OTHERS = [2, 3, 4].map((position) => pathOf('audit_logs', '2026-08-25', 1, position, ROWS_SUFFIX))
const PREFIX = 'aaaaaaaaaaaa-'

for (const times of [1, Infinity])
  describe(
    times === Infinity ? 'a bucket that answers wrongly each time' : 'a bucket that answers wrongly once',
    { concurrency: 6 },
    () => {
      for (const [name, fault] of FAULTS) {
        const meets = (...operations: readonly Operation[]) => ({ fault, operations, times })

        it(`${name}: what is published is there`, async () => {
          for (const operations of [['PutObject'], ['PutObject', 'HeadObject']] as const) {
            await using place = await bucketPlace({})
            const store = opened(place, fault)
            await store.make()
            const spool = store.spool(PREFIX)
            for (const path of [ROWS, MANIFEST]) await spool.write(path, path)
            place.server.faults.add(meets(...operations))
            const failed = await failureOf(spool.publish([ROWS, MANIFEST]))
            for (const path of [ROWS, MANIFEST]) {
              const there = String(await place.content(path))
              if (failed === undefined) assert.equal(there, path)
              else assert.ok((await spool.holds(path)) || there === path, `${path} is nowhere: ${failed}`)
            }
            place.server.faults.clear()
            await place.store().spool(PREFIX).publish([ROWS, MANIFEST])
            for (const path of [ROWS, MANIFEST]) assert.equal(String(await place.content(path)), path)
          }
        })

        it(`${name}: what is neither there nor in the spool is not published`, async () => {
          await using place = await bucketPlace({})
          const store = opened(place, fault)
          await store.make()
          place.server.faults.add(meets('HeadObject', 'PutObject'))
          const spool = store.spool(PREFIX)
          assert.notEqual(await failureOf(spool.publish([ROWS])), undefined)
        })

        it(`${name}: what is said to be there, or not to be there, is so`, async () => {
          await using place = await bucketPlace({})
          await place.plant(ROWS, ROWS)
          place.server.faults.add(meets('HeadObject', 'GetObject', 'ListObjectsV2'))
          const store = opened(place, fault)
          await truth(store.exists(ROWS), true)
          await truth(store.exists(OTHERS[0]!), false)
          await truth(store.list(), [ROWS])
          await truth(store.inspect(), { paths: [ROWS], problems: [] })
          await truth(store.read(MANIFEST), undefined)
          await truth(store.open(OTHERS[0]!), undefined)
          await truth(store.read(ROWS).then(String), ROWS)
          await truth(store.open(ROWS).then(bytesOf).then(String), ROWS)
        })

        it(`${name}: a list has all pages, or is none`, async () => {
          await using place = await bucketPlace({})
          for (const path of OTHERS) await place.plant(path, path)
          // From the second page on.
          place.server.faults.add({ ...meets('ListObjectsV2'), from: 2 })
          await truth(opened(place, fault).list(), OTHERS)
        })

        it(`${name}: what is removed is gone, and what is set aside lies there`, async () => {
          for (const operations of [['DeleteObject'], ['CopyObject', 'HeadObject']] as const) {
            await using place = await bucketPlace({})
            for (const path of [ROWS, MANIFEST]) await place.plant(path, path)
            place.server.faults.add(meets(...operations))
            const store = opened(place, fault)
            let stay: readonly ArchivePath[] = []
            const failed = await failureOf(store.remove([MANIFEST, ROWS]).then((kept) => (stay = kept)))
            if (failed === undefined)
              for (const path of [ROWS, MANIFEST]) assert.ok(stay.includes(path) || (await place.content(path)) === undefined, path)
            for (const path of [ROWS, MANIFEST]) await place.plant(path, path)
            const aside = await failureOf(store.setAside([ROWS]))
            const [here, there] = [await place.content(ROWS), await place.content(`reconciled/${ROWS}`)]
            if (aside === undefined) assert.equal(here, undefined)
            assert.ok(
              [here, there].some((found) => String(found) === ROWS),
              'it is nowhere',
            )
          }
        })
      }
    },
  )

test('the SDK writes nothing of its own, also where a body cannot be sent again', async (t) => {
  const written = (['warn', 'error', 'info', 'log', 'debug'] as const).map((name) => t.mock.method(console, name))
  await using place = await bucketPlace({ conditions: 'refused' })
  const store = place.store()
  await store.make()
  const spool = store.spool(PREFIX)
  const bytes = Buffer.alloc(9_000_000, 'x')
  const handle = await spool.create(ROWS)
  await handle.writeFile(bytes)
  await handle.close()
  await spool.publish([ROWS])
  assert.ok((await place.content(ROWS))?.equals(bytes))
  assert.deepEqual(
    written.flatMap(({ mock }) => mock.calls.map((call) => String(call.arguments[0]))),
    [],
  )
})

/** Nothing is waited for longer than a test can bear, where nothing comes. */
function opened(place: BucketStorePlace, fault: Fault): Store {
  const isEndless = fault.kind === 'silent' || fault.kind === 'endless'
  return isEndless ? place.store('this', 'audit_logs', { ...PATIENT, idleMs: 300, requestMs: 400, pausesMs: [1] }) : place.store()
}

/** What it says is so, unless it says that it does not know. */
async function truth<T>(said: Promise<T>, fact: T): Promise<void> {
  let given: T
  try {
    given = await said
  } catch (error) {
    isSentence(error)
    return
  }
  assert.deepEqual(given, fact)
}

async function failureOf(work: Promise<unknown>): Promise<string | undefined> {
  try {
    await work
    return undefined
  } catch (error) {
    isSentence(error)
    return String(error)
  }
}

function isSentence(error: unknown): void {
  assert.match(String((error as { code?: unknown }).code), /^ARCHIVE_(?:FAILED|DAMAGED)$/, String(error))
  assert.match(String(error), /s3:\/\/archive\/of\/tests.*\. [A-Z]/s)
  assert.doesNotMatch(String(error), /undefined|\[object|secret\/of/)
}
