import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { it } from 'node:test'
import { MOST_MANIFEST_BYTES } from '../../src/archive/format.ts'
import { dayOf, manifestOf, pathOf, ROWS_SUFFIX, type ArchivePath } from '../../src/archive/store/path.ts'
import type { Spool, Store } from '../../src/archive/store/store.ts'
import { bytesOf, type StoreKind, type StorePlace } from './store-places.ts'

const ROWS = rows('2026-08-25', 1)
const MANIFEST = manifestOf(ROWS)
const FAILED = { code: 'ARCHIVE_FAILED' }
const DAMAGED = { code: 'ARCHIVE_DAMAGED' }
const AT_ONCE = 20

/** What every place for an archive promises, whatever it is: the tests of one kind, for a `describe`. */
export function storeContract(kind: StoreKind): void {
  it('has nothing at first, before and after it is made', async () => {
    await using place = await kind.fresh()
    const store = place.store()
    for (const _ of ['before', 'after']) {
      assert.deepEqual([await store.list(), await store.inspect()], [[], { paths: [], problems: [] }])
      assert.deepEqual([await store.exists(ROWS), await store.read(MANIFEST), await store.open(ROWS)], [false, undefined, undefined])
      await store.remove([ROWS, MANIFEST])
      await store.setAside([ROWS, MANIFEST])
      await store.make()
    }
    assert.deepEqual(await place.paths(), [])
  })

  it('has a file once it is published, to its last byte, and not before', async () => {
    await using place = await kind.fresh()
    const store = place.store()
    const spool = await spoolOf(store)
    const bytes = randomBytes(5_000_000)
    await written(spool, ROWS, bytes)
    await spool.write(MANIFEST, 'manifest')
    await spool.sync()
    assert.deepEqual([await place.paths(), await store.list(), await store.exists(ROWS)], [[], [], false])
    assert.deepEqual([await spool.holds(ROWS), String(await spool.shelf.read(MANIFEST))], [true, 'manifest'])
    await spool.publish([ROWS, MANIFEST])
    assert.deepEqual((await place.paths()).toSorted(), [MANIFEST, ROWS])
    assert.deepEqual([await place.content(ROWS), await bytesOf(await store.open(ROWS))], [bytes, bytes])
    assert.deepEqual([await store.exists(ROWS), String(await store.read(MANIFEST)), await spool.holds(ROWS)], [true, 'manifest', false])
    assert.deepEqual([await bytesOf(await spool.shelf.open(ROWS)), String(await spool.shelf.read(MANIFEST))], [bytes, 'manifest'])
    assert.equal((await place.store('another machine').list()).length, 2)
  })

  it('has a file whole or not at all, whenever one looks', async () => {
    await using place = await kind.fresh()
    const store = place.store()
    const spool = await spoolOf(store)
    const bytes = randomBytes(8_000_000)
    await written(spool, ROWS, bytes)
    await meanwhile(spool.publish([ROWS]), async () => {
      const found = await bytesOf(await store.open(ROWS))
      assert.ok(found === undefined || found.equals(bytes), `${found?.length} bytes`)
      if (await store.exists(ROWS)) assert.ok((await place.content(ROWS))?.equals(bytes))
    })
    assert.ok((await place.content(ROWS))?.equals(bytes))
  })

  it(`of ${AT_ONCE} that publish different files under one name at once, one does`, { skip: kind.unconditional }, async () => {
    await using place = await kind.fresh()
    const spools = await machines(place)
    for (const [index, spool] of spools.entries()) await spool.write(MANIFEST, `of ${index}`)
    const ended = await Promise.allSettled(spools.map((spool) => spool.publish([MANIFEST])))
    const winners = ended.flatMap(({ status }, index) => (status === 'fulfilled' ? [index] : []))
    assert.equal(winners.length, 1)
    assert.equal(String(await place.content(MANIFEST)), `of ${winners[0]}`)
    for (const end of ended)
      if (end.status === 'rejected') {
        assert.equal((end.reason as { code: string }).code, 'ARCHIVE_DAMAGED', String(end.reason))
        assert.match(String(end.reason), /another file has this place, and was left there/)
      }
    // Whoever has lost has lost nothing.
    for (const [index, spool] of spools.entries())
      assert.deepEqual(
        [await spool.collides(MANIFEST), String(await spool.shelf.read(MANIFEST))],
        index === winners[0] ? [false, `of ${index}`] : [true, `of ${index}`],
      )
  })

  it('takes the same file again, and from many at once', async () => {
    await using place = await kind.fresh()
    const spools = await machines(place)
    for (const spool of spools) await spool.write(MANIFEST, 'the same')
    await Promise.all(spools.map((spool) => spool.publish([MANIFEST])))
    for (const spool of spools) {
      assert.deepEqual([await spool.holds(MANIFEST), await spool.collides(MANIFEST)], [false, false])
      await spool.publish([MANIFEST])
    }
    assert.equal(String(await place.content(MANIFEST)), 'the same')
  })

  it('refuses to publish what nobody has', async () => {
    await using place = await kind.fresh()
    const spool = await spoolOf(place.store())
    await spool.write(MANIFEST, 'manifest')
    await assert.rejects(spool.publish([MANIFEST, ROWS]), {
      ...FAILED,
      message: /cannot be put in its place: .* neither there nor waiting/,
    })
    assert.equal(await place.content(ROWS), undefined)
  })

  it('puts a manifest in its place before the rows that it describes, and removes rows first', async () => {
    await using place = await kind.fresh()
    const store = place.store()
    const spool = await spoolOf(store)
    for (const path of [ROWS, MANIFEST]) await spool.write(path, path)
    await meanwhile(spool.publish([ROWS, MANIFEST]), async () => {
      if (await store.exists(ROWS)) assert.ok(await store.exists(MANIFEST))
    })
    await meanwhile(store.remove([MANIFEST, ROWS]), async () => {
      if (!(await store.exists(MANIFEST))) assert.ok(!(await store.exists(ROWS)))
    })
    assert.deepEqual(await place.paths(), [])
  })

  it('lists all files: sorted, or the oldest days first and a day at a time', async () => {
    await using place = await kind.fresh()
    const store = place.store()
    const spool = await spoolOf(store)
    const days = ['2026-08-25', '2025-12-31', '2026-01-01', '0000-01-01', '-000043-03-15']
    const paths = days.flatMap((day, index) => [1, 9, 10].flatMap((position) => both(rows(day, position + 100 * index))))
    for (const path of paths) await spool.write(path, path)
    await spool.publish(paths)
    assert.deepEqual(await store.list(), paths.toSorted())
    const files: ArchivePath[] = []
    for await (const path of store.files()) files.push(path)
    assert.deepEqual(files.toSorted(), paths.toSorted())
    const runs = files.map(dayOf).filter((day, index, all) => day !== all[index - 1])
    assert.deepEqual(runs, ['-000043-03-15', '0000-01-01', '2025-12-31', '2026-01-01', '2026-08-25'])
    assert.deepEqual(await store.inspect(), { paths: paths.toSorted(), problems: [] })
    const facts = [...(await store.facts())].map(([path, { bytes }]) => [path, bytes] as const)
    assert.deepEqual(new Map(facts), new Map(paths.map((path) => [path, Buffer.byteLength(path)])))
  })

  it('removes what it is told, whether it is there or not, and nothing else', async () => {
    await using place = await kind.fresh()
    const store = place.store()
    const spool = await spoolOf(store)
    const paths = Array.from({ length: 12 }, (_, n) => rows('2026-08-25', n)).flatMap(both)
    for (const path of paths) await spool.write(path, path)
    await spool.publish(paths)
    const left = paths.slice(-3)
    await store.remove([...paths.slice(0, -3), rows('2020-01-01', 1)])
    assert.deepEqual([await store.list(), (await place.paths()).toSorted()], [left.toSorted(), left.toSorted()])
    await store.remove(paths.slice(0, -3))
    assert.deepEqual(await store.list(), left.toSorted())
    // The name is free again.
    await spool.write(paths[0]!, 'again')
    await spool.publish([paths[0]!])
    assert.equal(String(await place.content(paths[0]!)), 'again')
  })

  it('sets files aside where no chain looks, and never over another file', async () => {
    await using place = await kind.fresh()
    const store = place.store()
    const spool = await spoolOf(store)
    for (const path of [ROWS, MANIFEST]) await spool.write(path, path)
    await spool.publish([ROWS, MANIFEST])
    for (const _ of ['first', 'again']) await store.setAside([ROWS, MANIFEST])
    assert.deepEqual((await place.paths()).toSorted(), [`reconciled/${MANIFEST}`, `reconciled/${ROWS}`])
    assert.deepEqual([await store.list(), String(await place.content(`reconciled/${ROWS}`))], [[], ROWS])
    await spool.write(MANIFEST, 'another')
    await spool.publish([MANIFEST])
    await assert.rejects(store.setAside([MANIFEST]), FAILED)
    assert.deepEqual([String(await place.content(MANIFEST)), String(await place.content(`reconciled/${MANIFEST}`))], ['another', MANIFEST])
  })

  it('sees only its own table', async () => {
    await using place = await kind.fresh()
    const others = ['audit_logs2', 'policy_decisions', 'audit_log'].flatMap((table) => both(pathOf(table, '2026-08-25', 1, 1, ROWS_SUFFIX)))
    for (const path of others) await place.plant(path, path)
    const [store, other] = [place.store(), place.store('this', 'policy_decisions')]
    assert.deepEqual([await store.list(), await store.inspect()], [[], { paths: [], problems: [] }])
    assert.deepEqual(await other.list(), others.filter((path) => path.startsWith('policy_decisions/')).toSorted())
    const spool = await spoolOf(store)
    await spool.write(MANIFEST, 'of audit_logs')
    await (await spoolOf(other)).clean('')
    await spool.publish([MANIFEST])
    assert.deepEqual((await place.paths()).toSorted(), [...others, MANIFEST].toSorted())
  })

  it('takes no other name for one of its own, and leaves all of them alone', async () => {
    await using place = await kind.fresh()
    const store = place.store()
    const spool = await spoolOf(store)
    await spool.write(MANIFEST, 'manifest')
    await spool.publish([MANIFEST])
    const strangers = [...ODD_NAMES, ...(kind.flatNames ? ESCAPING_NAMES : [])].toSorted()
    for (const path of strangers) await place.plant(path, `of a stranger: ${path}`)
    assert.deepEqual(await store.list(), [MANIFEST])
    const { paths, problems } = await store.inspect()
    assert.deepEqual(paths, [MANIFEST])
    for (const name of ['audit_logs/2026/08/25/17-03.json', 'audit_logs/2026/08/25/käse 17-3.ndjson.zst'])
      assert.ok(problems.includes(`${name}: does not have the name of an archive file`), problems.join('\n'))
    await store.remove([MANIFEST, ROWS])
    await store.setAside([MANIFEST, ROWS])
    await spool.clean('')
    assert.deepEqual((await place.paths()).toSorted(), strangers)
    for (const path of strangers) assert.equal(String(await place.content(path)), `of a stranger: ${path}`)
  })

  it('reads no manifest that is longer than any', async () => {
    await using place = await kind.fresh()
    const store = place.store()
    await place.plant(MANIFEST, Buffer.alloc(MOST_MANIFEST_BYTES + 1, ' '))
    await assert.rejects(store.read(MANIFEST), DAMAGED)
    const [other] = both(rows('2026-08-26', 2))
    await place.plant(manifestOf(other!), Buffer.alloc(MOST_MANIFEST_BYTES, ' '))
    assert.equal((await store.read(manifestOf(other!)))?.length, MOST_MANIFEST_BYTES)
  })

  it('is told of a name that is taken before anything is published', async () => {
    await using place = await kind.fresh()
    const spool = await spoolOf(place.store())
    assert.equal(await spool.collides(MANIFEST), false)
    await spool.write(MANIFEST, 'ours')
    assert.equal(await spool.collides(MANIFEST), false)
    for (const [planted, collides] of [
      ['ours', false],
      ['theirs', true],
      ['ours, and longer', true],
    ] as const) {
      await place.plant(MANIFEST, planted)
      assert.equal(await spool.collides(MANIFEST), collides, planted)
    }
    await assert.rejects(spool.publish([MANIFEST]), DAMAGED)
    assert.deepEqual([String(await place.content(MANIFEST)), await spool.holds(MANIFEST)], ['ours, and longer', true])
  })

  it('keeps files of different prefixes apart, and none twice', async () => {
    await using place = await kind.fresh()
    const store = place.store()
    const [a, b] = [await spoolOf(store, 'aaaaaaaaaaaa-'), await spoolOf(store, 'bbbbbbbbbbbb-')]
    await a.write(MANIFEST, 'of a')
    await assert.rejects(a.write(MANIFEST, 'again'), FAILED)
    assert.equal(await b.holds(MANIFEST), false)
    for (const beginning of ['', '1-']) await b.clean(beginning)
    await assert.rejects(b.publish([MANIFEST]), /neither there nor waiting/)
    await a.clean('2-')
    assert.equal(String(await a.shelf.read(MANIFEST)), 'of a')
    await a.clean('1-')
    assert.deepEqual([await a.holds(MANIFEST), await a.shelf.read(MANIFEST)], [false, undefined])
    await assert.rejects(a.publish([MANIFEST]), /neither there nor waiting/)
    assert.deepEqual(await place.paths(), [])
  })
}

/** Whatever they look like, none is the path of a file of `audit_logs`. */
const ODD_NAMES: readonly string[] = [
  'audit_logs/2026/08/25/17-03.json',
  'audit_logs/2026/08/25/17-3.JSON',
  'audit_logs/2026/08/25/17-3.json\n',
  'audit_logs/2026/08/25/ 17-3.json',
  'audit_logs/2026/08/25/käse 17-3.ndjson.zst',
  'audit_logs/2026/08/25/%31-1.json',
  'audit_logs/2026/08/25/17-3.json+',
  "audit_logs/2026/08/25/'; DROP TABLE audit_logs; --.json",
  'audit_logs/2026/08/25/\u202e17-3.json',
  'audit_logs/2026/08/25/🧀\u001b[2J.json',
  'audit_logs/2026/02/30/17-3.json',
  'audit_logs/readme.txt',
  'readme.json',
]

/** Names that only a store without folders can hold; others would take them for a way elsewhere. */
const ESCAPING_NAMES: readonly string[] = [
  'audit_logs/../audit_logs/2026/08/25/17-3.json',
  'audit_logs/2026/08/25/../25/17-3.json',
  'audit_logs//2026/08/25/17-3.json',
  'audit_logs/./2026/08/25/17-3.json',
  'audit_logs/2026/08/25/17-3.json/',
  'audit_logs/',
  '../audit_logs/2026/08/25/17-3.json',
]

function rows(day: string, position: number): ArchivePath {
  return pathOf('audit_logs', day, 1, position, ROWS_SUFFIX)
}

function both(path: ArchivePath): readonly ArchivePath[] {
  return [path, manifestOf(path)]
}

async function spoolOf(store: Store, prefix = 'aaaaaaaaaaaa-'): Promise<Spool> {
  await store.make()
  return store.spool(prefix)
}

/** Each is on a machine of its own. */
function machines(place: StorePlace): Promise<readonly Spool[]> {
  return Promise.all(
    Array.from({ length: AT_ONCE }, (_, n) => spoolOf(place.store(`machine ${n}`), `${n.toString(16).padStart(12, '0')}-`)),
  )
}

/** Looks until the work is done, and once more. */
async function meanwhile(work: Promise<unknown>, look: () => Promise<void>): Promise<void> {
  let over = false
  const looking = (async () => {
    for (let last = false; !last;) {
      last = over
      await look()
    }
  })()
  await work.finally(() => (over = true))
  await looking
}

async function written(spool: Spool, path: ArchivePath, bytes: Buffer): Promise<void> {
  const handle = await spool.create(path)
  await handle.writeFile(bytes)
  await handle.sync()
  await handle.close()
}
