import type { SchemaObject } from '../database/examining.ts'
import { canonicalIndex } from './columns-in.ts'
import type { SchemaInHand } from './doctor-facts.ts'
import { advice, fault, type Probe, type Told } from './probe.ts'
import { due, makerText, withSchema } from './schema-probes.ts'

export const INDEX_PROBES: readonly Probe[] = [
  { code: 'schema-index', finds: 'an index is gone, or has other columns than it was made with', judge: withSchema(missing) },
  {
    code: 'schema-index-invalid',
    finds: 'an index is invalid: its build was interrupted, or it has no part on a partition',
    judge: withSchema(invalid),
  },
  { code: 'schema-index-doubled', finds: 'two indexes do the same, and every write pays for both', judge: withSchema(doubled) },
]

/** By what it is: a name proves nothing, and another name is as good. */
function missing(schema: SchemaInHand): readonly Told[] {
  const found = indexesOf(schema)
  return due(schema, 'index').flatMap((index) => {
    if (found.some((each) => each.of === index.of && each.alike === canonicalIndex(index.is))) return []
    const named = found.find(({ of, name }) => of === index.of && name === index.name)
    return [
      named === undefined
        ? fault(
            `${index.of} has no index ${index.is}: ${index.name}, which ${makerText(index)} made, is gone`,
            `make it again, as ${makerText(index)} has it`,
          )
        : fault(
            `the index ${index.name} of ${index.of} is ${named.is}; ${makerText(index)} made it ${index.is}`,
            `drop it, and make it again as ${makerText(index)} has it`,
          ),
    ]
  })
}

/** A build that partition start or undo has left is theirs to end; that they have not ended is said elsewhere. */
function invalid({ facts, unfinished }: SchemaInHand): readonly Told[] {
  return facts.invalidIndexes.map(({ table, name, statement }) => {
    const sentence = `the index ${name} of ${table} is invalid: no statement searches it, and every write pays for it`
    return unfinished.has(table)
      ? advice(
          `${sentence}; partition start or undo of ${table} has not ended, and may have left it`,
          'let it end first, which removes what it left',
        )
      : fault(sentence, `Run: ${statement}`)
  })
}

/** Not before every migration was applied: one drops what is redundant. */
function doubled(schema: SchemaInHand): readonly Told[] {
  if (!schema.isCurrent) return []
  const alike = Map.groupBy(indexesOf(schema), ({ of, alike: is }) => `${of} ${is}`)
  return [...alike.values()].flatMap((indexes) => {
    const plain = indexes.filter(({ kind, is }) => kind === 'index' && !is.startsWith('UNIQUE'))
    const kept =
      indexes.find((each) => !plain.includes(each)) ??
      plain.find(({ name, of }) => schema.described.some((each) => each.name === name && each.of === of)) ??
      plain[0]
    return plain
      .filter((each) => each !== kept)
      .map(({ of, name, is }) =>
        advice(
          `the index ${name} of ${of} ${is} does what ${kept!.name} does, and every write pays for both`,
          `drop ${name}, unless somebody knows what it is for`,
        ),
      )
  })
}

interface Alike extends SchemaObject {
  readonly alike: string
}

function indexesOf({ facts }: SchemaInHand): readonly Alike[] {
  const bad = new Set(facts.invalidIndexes.map(({ table, name }) => `${table} ${name}`))
  return facts.objects
    .filter(({ kind, of, name }) => (kind === 'index' || kind === 'key') && !bad.has(`${of} ${name}`))
    .map((each) => ({ ...each, alike: canonicalIndex(each.is) }))
}
