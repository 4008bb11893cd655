// Writes which tables and views each migration makes, and of each engine every object that is there at the end, from databases that are migrated file by file. Tests
// compare both with what migrations make on every engine.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import type { Database } from '../src/database/database.ts'
import { describedText } from '../src/database/described.ts'
import type { SchemaObject } from '../src/database/examining.ts'
import type { Relation } from '../src/database/migrating.ts'
import { objectsMade } from '../test/migrations/objects-made.ts'
import { shapesMade } from '../test/migrations/shapes-made.ts'
import { opened } from '../test/migrations/support.ts'
import { POSTGRES_MAJORS, startPostgres } from '../test/support/postgres-server.ts'

const HEAD = `// Written by \`npm run docs:shapes\` from the files in migrations/: change those, and run it again.
import { table, view, type Shape } from './adoption.ts'

/** The tables and views that each migration makes, by its file's name without suffix: the same on either engine. */
export const SHAPES: Readonly<Record<string, Shape | undefined>> = {
`

const OBJECTS_HEAD = `// Written by \`npm run docs:shapes\` from the files in migrations/: change those, and run it again.
import { madeBy } from '../../described.ts'
import type { SchemaObject } from '../../examining.ts'

/** Every object of a database that all migrations were applied to, by the migration that made it. */
export const MADE: readonly SchemaObject[] = [
`

const WIDTH = 140

/** The order in which they were made is that of the files, and of messages. */
const IN_ORDER = `SELECT relname FROM pg_catalog.pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY oid`

const server = await startPostgres(POSTGRES_MAJORS[0]!)
const folder = mkdtempSync(join(tmpdir(), 'migration-shapes-'))
try {
  await using database = await opened(server.url)
  const made = await shapesMade(database)
  const order = (await database.query<{ relname: string }>(IN_ORDER)).rows.map(({ relname }) => relname)
  const shapes = [...made].flatMap(([stem, relations]) => {
    const shape = [...relations].toSorted(([a], [b]) => order.indexOf(a) - order.indexOf(b)).flatMap(relationLines)
    return shape.length === 0 ? [] : [`  '${stem}': {`, ...shape, '  },']
  })
  writeFileSync(new URL('../src/migrations/shapes/migration-shapes.ts', import.meta.url), `${HEAD}${shapes.join('\n')}\n}\n`)
  const client = new Client({ connectionString: server.url })
  await client.connect()
  await client.query('CREATE DATABASE for_objects')
  await client.end()
  await using other = await opened(Object.assign(new URL(server.url), { pathname: '/for_objects' }).href)
  await writeObjects(other, 'postgres')
  await using file = await opened(`sqlite:///${join(folder, 'objects.db')}`)
  await writeObjects(file, 'sqlite')
} finally {
  rmSync(folder, { recursive: true })
  await server.stop()
}

/** In the order in which they were made, those of one migration and table together. */
async function writeObjects(database: Database, engine: 'postgres' | 'sqlite'): Promise<void> {
  const groups = Map.groupBy(await objectsMade(database), ({ version, of }) => `${version}, '${of}'`)
  const byVersion = [...groups].toSorted(([, [a]], [, [b]]) => a!.version - b!.version)
  const blocks = byVersion.map(([head, objects]) => [`  madeBy(${head}, [`, ...objects.map(objectLine), '  ]),'].join('\n'))
  writeFileSync(new URL(`../src/database/${engine}/examining/made.ts`, import.meta.url), `${OBJECTS_HEAD}${blocks.join('\n')}\n].flat()\n`)
}

function objectLine(object: SchemaObject): string {
  return `    ${JSON.stringify(describedText(object))},`
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
