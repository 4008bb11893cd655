import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { describedText, madeBy } from '../../src/database/described.ts'
import type { SchemaObject } from '../../src/database/examining.ts'
import { ENGINES } from '../support/engines.ts'
import { objectsMade } from './objects-made.ts'
import { opened } from './support.ts'

for (const engine of ENGINES)
  it(`${engine.name}: what is described of each object is what the migrations make`, async () => {
    await using outside = await engine.fresh()
    await using database = await opened(outside.url)
    const made = await objectsMade(database)
    const { described } = await database.examining()
    assert.ok(described.length > 150)
    assert.deepEqual(linesOf(described), linesOf(made), 'npm run docs:shapes')
  })

function linesOf(objects: readonly SchemaObject[]): readonly string[] {
  return objects.map((object) => `${object.version} ${object.of}: ${describedText(object)}`).toSorted()
}

describe('a described object', () => {
  it('is written as a line, and read as it was, whatever its name', () => {
    for (const name of ['a', 'a b', 'a "b" c', String.raw`a\b`, 'ä'])
      for (const is of ['', 'x', 'CHECK (a = "b c")']) {
        const object: SchemaObject = { kind: 'column', of: 't', name, is, version: 3 }
        assert.deepEqual(madeBy(3, 't', [describedText(object)]), [object])
      }
  })
})
