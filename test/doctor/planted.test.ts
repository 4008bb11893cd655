import assert from 'node:assert/strict'
import { describe, it, test } from 'node:test'
import { freshFolder } from '../archive/support.ts'
import { migrated } from '../runs/support.ts'
import { ENGINES } from '../support/engines.ts'
import { PROBES } from '../../src/doctor/probes.ts'
import { PLANTS, type Place } from './planted.ts'
import { diagnosed } from './support.ts'

for (const engine of ENGINES) {
  const kind = engine.name === 'sqlite' ? 'file' : 'server'
  describe(`planted faults on ${engine.name}`, () => {
    for (const { code, level, name, plant, says } of PLANTS.filter(({ on }) => on === 'both' || on === kind))
      it(`${name}: ${code}, and nothing else`, async (t) => {
        await using fixture = await migrated(engine)
        await using folder = await freshFolder()
        const { outside } = fixture
        // So that this is no finding unless it is planted.
        if (kind === 'file') await outside.sql('PRAGMA journal_mode = WAL')
        const before = await diagnosed(outside.url)
        const place: Place = { outside, engine, folder: folder.path, after: [] }
        try {
          const asked = (await plant(place)) ?? {}
          if (typeof asked === 'string') {
            t.skip(asked)
            return
          }
          const { findings } = await diagnosed(outside.url, asked)
          const known = new Set(before.findings.map(({ sentence }) => sentence))
          const fresh = findings.filter(({ sentence }) => !known.has(sentence))
          assert.deepEqual(
            fresh.map((each) => `${each.level} ${each.code}`),
            [`${level} ${code}`],
            JSON.stringify(fresh, undefined, 2),
          )
          assert.match(fresh[0]!.sentence, says)
        } finally {
          for (const each of place.after) await each()
        }
      })
  })
}

test('each probe has a planted fault, which without it nothing finds, and a code of its own', () => {
  const codes = PROBES.map(({ code }) => code)
  assert.equal(new Set(codes).size, codes.length)
  assert.deepEqual(codes.toSorted(), [...new Set(PLANTS.map(({ code }) => code))].toSorted())
})
