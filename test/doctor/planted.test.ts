import assert from 'node:assert/strict'
import { before, describe, it, test } from 'node:test'
import { freshFolder } from '../archive/support.ts'
import { migrated } from '../runs/support.ts'
import { isSqlite } from '../migrations/support.ts'
import { BOTH_ENGINES, ENGINES, type TestEngine } from '../support/engines.ts'
import { PROBES } from '../../src/doctor/probes.ts'
import { PLANTS, type Place } from './planted.ts'
import { diagnosed } from './support.ts'

/** What only the host has to do with. */
const OF_THE_HOST = /^(archive|disk|settings|clock|lease)/

for (const engine of ENGINES) {
  const kind = engine.name === 'sqlite' ? 'file' : 'server'
  describe(`planted faults on ${engine.name}`, () => {
    const known = new Set<string>()
    before(async () => {
      await using place = await placeOn(engine)
      for (const { sentence } of (await diagnosed(place.outside.url)).findings) known.add(sentence)
    })

    for (const { code, level, name, plant, says } of PLANTS.filter(
      (each) => (each.on === 'both' || each.on === kind) && (BOTH_ENGINES.includes(engine) || !OF_THE_HOST.test(each.code)),
    ))
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
  const fixture = await migrated(engine)
  const folder = await freshFolder()
  const { outside } = fixture
  // So that this is no finding unless it is planted.
  if (isSqlite(outside)) await outside.sql('PRAGMA journal_mode = WAL')
  const after: Place['after'] = []
  return {
    outside,
    engine,
    folder: folder.path,
    after,
    async [Symbol.asyncDispose]() {
      for (const each of after) await each()
      await folder[Symbol.asyncDispose]()
      await fixture[Symbol.asyncDispose]()
    },
  }
}

test('each probe has a planted fault, which without it nothing finds, and a code of its own', () => {
  const codes = PROBES.map(({ code }) => code)
  assert.equal(new Set(codes).size, codes.length)
  assert.deepEqual(codes.toSorted(), [...new Set(PLANTS.map(({ code }) => code))].toSorted())
})
