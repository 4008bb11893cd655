import assert from 'node:assert/strict'
import { after, before, describe, it, test } from 'node:test'
import { freshFolder } from '../archive/support.ts'
import { applyMigrations } from '../runs/support.ts'
import { isSqlite } from '../migrations/support.ts'
import { POSTGRES_MAJORS } from '../support/databases.ts'
import { BOTH_ENGINES, ENGINES, type TestEngine } from '../support/engines.ts'
import { startPostgres, type PostgresServer } from '../support/postgres-server.ts'
import { PROBES } from '../../src/doctor/probes.ts'
import { PLANTS, type Place, type Plant } from './planted.ts'
import { diagnosed } from './support.ts'

/** What only the host has to do with. */
const OF_THE_HOST = /^(archive|disk|settings|clock|lease)/

/** All that can be planted there; on an older server one for each code. */
function plantsOn(engine: TestEngine): readonly Plant[] {
  const kind = engine.name === 'sqlite' ? 'file' : 'server'
  const plants = PLANTS.filter(({ on }) => on === 'both' || on === kind)
  if (BOTH_ENGINES.includes(engine)) return plants
  return plants.filter(({ code }, at) => !OF_THE_HOST.test(code) && plants.findIndex((each) => each.code === code) === at)
}

/** Servers of its own: doctor sees the transactions, slots and roles of everybody on a server, also those of other tests. */
const servers: PostgresServer[] = []
before(async () => {
  await Promise.all(
    POSTGRES_MAJORS.map(async (major) => {
      const server = await startPostgres(major, { settings: { max_prepared_transactions: '2' } })
      servers.push(server)
      process.env[`TEST_POSTGRES_${major}`] = server.url
    }),
  )
})
after(() => Promise.all(servers.map((server) => server.stop())))

for (const engine of ENGINES) {
  describe(`planted faults on ${engine.name}`, () => {
    const known = new Set<string>()
    before(async () => {
      await using place = await placeOn(engine)
      for (const { sentence } of (await diagnosed(place.outside.url)).findings) known.add(sentence)
    })

    for (const { code, level, name, plant, says } of plantsOn(engine))
      // So that nothing finds it without the probe of that code.
      it(`${name}: ${code}, and nothing else`, async (t) => {
        await using place = await placeOn(engine)
        const asked = (await plant(place)) ?? {}
        if (typeof asked === 'string') {
          t.skip(asked)
          return
        }
        const found = (await diagnosed(place.outside.url, asked)).findings.filter(({ sentence }) => !known.has(sentence))
        assert.deepEqual(
          found.map((each) => `${each.level} ${each.code}`),
          [`${level} ${code}`],
          JSON.stringify(found, undefined, 2),
        )
        assert.match(found[0]!.sentence, says)
      })
  })
}

async function placeOn(engine: TestEngine): Promise<Place & AsyncDisposable> {
  const outside = await engine.copied(applyMigrations)
  const folder = await freshFolder()
  // So that this is no finding unless it is planted.
  if (isSqlite(outside)) await outside.sql('PRAGMA journal_mode = WAL')
  const undo: Place['after'] = []
  return {
    outside,
    engine,
    folder: folder.path,
    after: undo,
    async [Symbol.asyncDispose]() {
      for (const each of undo.toReversed()) await each()
      await folder[Symbol.asyncDispose]()
      await outside[Symbol.asyncDispose]()
    },
  }
}

test('each probe has a planted fault, and a code of its own', () => {
  const codes: readonly string[] = PROBES.map(({ code }) => code)
  assert.equal(new Set(codes).size, codes.length)
  const planted = new Set<string>(PLANTS.map(({ code }) => code))
  assert.deepEqual(
    codes.filter((code) => !planted.has(code)),
    [],
  )
})
