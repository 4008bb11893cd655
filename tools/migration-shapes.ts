// Writes which tables and views each migration makes, from a database that is migrated file by file. A test compares that with what it makes on every engine.
import { writeFileSync } from 'node:fs'
import type { Relation } from '../src/database/migrating.ts'
import { shapesMade } from '../test/migrations/shapes-made.ts'
import { opened } from '../test/migrations/support.ts'
import { POSTGRES_MAJORS, startPostgres } from '../test/support/postgres-server.ts'

const HEAD = `// Written by \`npm run docs:shapes\` from the files in migrations/: change those, and run it again.
import { table, view, type Shape } from './adoption.ts'

/** The tables and views that each migration makes, by its file's name without suffix: the same on either engine. */
export const SHAPES: Readonly<Record<string, Shape | undefined>> = {
`

const WIDTH = 140

/** The order in which they were made is that of the files, and of messages. */
const IN_ORDER = `SELECT relname FROM pg_catalog.pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY oid`

const server = await startPostgres(POSTGRES_MAJORS[0]!)
try {
  await using database = await opened(server.url)
  const made = await shapesMade(database)
  const order = (await database.query<{ relname: string }>(IN_ORDER)).rows.map(({ relname }) => relname)
  const shapes = [...made].flatMap(([stem, relations]) => {
    const shape = [...relations].toSorted(([a], [b]) => order.indexOf(a) - order.indexOf(b)).flatMap(relationLines)
    return shape.length === 0 ? [] : [`  '${stem}': {`, ...shape, '  },']
  })
  writeFileSync(new URL('../src/migrations/shapes/migration-shapes.ts', import.meta.url), `${HEAD}${shapes.join('\n')}\n}\n`)
} finally {
  await server.stop()
}

/** One after the other, in lines that are not too long. */
function relationLines([name, { kind, columns }]: readonly [string, Relation]): string[] {
  const lines = [`    ${name}: ${kind}(\``]
  for (const [index, [column, { family }]] of [...columns].entries()) {
    const last = lines.at(-1)!
    const text = `${column} ${family ?? 'other'}${index + 1 === columns.size ? '`),' : ','}`
    if (last.length + text.length < WIDTH) lines[lines.length - 1] = last.endsWith('`') ? last + text : `${last} ${text}`
    else lines.push(`      ${text}`)
  }
  return lines
}
