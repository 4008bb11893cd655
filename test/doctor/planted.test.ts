import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { freshFolder } from '../archive/support.ts'
import { migrated } from '../runs/support.ts'
import { ENGINES } from '../support/engines.ts'
import { PLANTS, type Place } from './planted.ts'
import { diagnosed } from './support.ts'

for (const engine of ENGINES) {
  const kind = engine.name === 'sqlite' ? 'file' : 'server'
  describe(`planted faults on ${engine.name}`, () => {
    for (const { code, level, name, on, plant, says } of PLANTS.filter(({ on }) => on === 'both' || on === kind))
      it(`${name}: ${code}, and nothing else`, async () => {
        await using fixture = await migrated(engine)
        await using folder = await freshFolder()
        const { outside } = fixture
        const before = await diagnosed(outside.url)
        const place: Place = { outside, engine, folder: folder.path, after: [] }
        try {
          const asked = (await plant(place)) ?? {}
          const { findings } = await diagnosed(outside.url, asked)
          const known = new Set(before.findings.map(({ sentence }) => sentence))
          const fresh = findings.filter((each) => !known.has(each.sentence) || each.code === code)
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
