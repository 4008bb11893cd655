import assert from 'node:assert/strict'
import { access, glob, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { parseDatabaseUrl } from '../../src/database/url/database-url.ts'
import { readMigrationFiles } from '../../src/migrations/migration-files.ts'
import { eventRows } from '../../tools/events-table.ts'
import { broughtUpToDate, FILES } from '../../tools/generated.ts'
import { migrated } from '../migrations/support.ts'
import { POSTGRES_MAJORS } from '../support/databases.ts'
import { postgresDatabase, sqliteDatabase, type TestDatabase } from '../support/engines.ts'
import { CHECKOUT } from './checkout.ts'
import { readDocuments } from './documents.ts'
import { ENVIRONMENT } from './offered.ts'

const documents = await readDocuments()
const readme = documents.find(({ file }) => file === 'README.md')!
/** No settings: where the settings are, terminals' own, Node's own, compose.yaml's own, the tests' own, a variable of psql, an error of SQLite's. */
const OTHERS = new Set([
  'MAINTENANCE_CONFIG',
  'NO_COLOR',
  'NODE_OPTIONS',
  'SECRETS',
  'MCP_TEST_DATABASES',
  'PAGE_SCREENSHOTS',
  'TEST_POSTGRES_MAJORS',
  'ON_ERROR_STOP',
  'SQLITE_BUSY',
])

it('tables that repeat the code are as "npm run docs" writes them', async () => {
  for (const file of FILES) {
    const text = await readFile(`${CHECKOUT}${file}`, 'utf8')
    assert.equal(broughtUpToDate(file, text), text)
  }
})

it('the table of events has every event that the program logs', async () => {
  const source = await readFile(`${CHECKOUT}src/observe/events.ts`, 'utf8')
  const logged = new Set([...source.matchAll(/event: '([^']+)'/g)].map((match) => match[1]!))
  const documented = eventRows().map(([event = '']) => event.slice(1, -1))
  assert.deepEqual(documented.toSorted(), [...logged].toSorted(), 'add a sample to tools/events-table.ts')
})

for (const { file, text } of documents) {
  describe(file, () => {
    it('names no environment variable that is not read', () => {
      const prose = text.replaceAll(/```sql\n[^]*?```/g, '').replaceAll(/CURRENT_TIMESTAMP/g, '')
      const named = [...prose.matchAll(/\b([A-Z]+(?:_[A-Z]+)+)\b|\b(SECRETS)=/g)].map((match) => match[1] ?? match[2]!)
      assert.deepEqual(
        named.filter((name) => !ENVIRONMENT.has(name) && !OTHERS.has(name)),
        [],
      )
    })

    it('links only to files that are there, and to headings that they have', async () => {
      for (const [, path = '', heading] of text.matchAll(/\]\(([^)#]*)(?:#([^)]+))?\)/g)) {
        if (path.includes('://')) continue
        const target = path === '' ? `${CHECKOUT}${file}` : join(CHECKOUT, dirname(file), path)
        await access(target)
        if (heading !== undefined) assert.ok(headings(await readFile(target, 'utf8')).includes(heading), heading)
      }
    })

    it('shows only database URLs that are understood', () => {
      const urls = [...text.matchAll(/(?<![\w+:])(?:jdbc:)?(?:sqlite|postgres(?:ql)?)(?:\+\w+)?:\/\/[^\s'`]*/g)].map((match) => match[0])
      for (const url of urls.filter((each) => !each.includes('…') || each.startsWith('jdbc')))
        assert.doesNotThrow(() => parseDatabaseUrl(url.replace('…', 'x')), url)
    })
  })
}

/** As a reader of Markdown makes anchors of them. */
function headings(text: string): string[] {
  return [...text.matchAll(/^#+ (.+)$/gm)].map((match) =>
    match[1]!
      .toLowerCase()
      .replaceAll(/[^\w\s-]/g, '')
      .trim()
      .replaceAll(' ', '-'),
  )
}

describe('queries in the documents', () => {
  const queries = documents.flatMap(({ file, queries: blocks }) => blocks.map((block) => [file, block] as const))

  it('quote "user"', () => {
    assert.ok(queries.length > 5)
    for (const [, block] of queries) assert.doesNotMatch(block.replaceAll(/--.*$/gm, ''), /(?<!")\buser\b(?!")/)
  })

  it('are each understood by an engine', async () => {
    await using sqlite = await sqliteDatabase()
    await using postgres = await postgresDatabase(POSTGRES_MAJORS.at(-1)!)
    for (const { url } of [sqlite, postgres]) await migrated(url, await readMigrationFiles(CHECKOUT))
    for (const [file, block] of queries) {
      for (const statement of block.split(/;[^\n]*\n/).filter((each) => each.trim() !== '')) {
        const answers = await Promise.allSettled([understood(sqlite, statement), understood(postgres, statement)])
        assert.ok(
          answers.some(({ status }) => status === 'fulfilled'),
          `${file}: ${statement}\n${JSON.stringify(answers)}`,
        )
      }
    }
  })
})

/** What reads or writes rows is only explained; what makes or drops something is done. */
async function understood(database: TestDatabase, statement: string): Promise<void> {
  await database.sql(/^(?:CREATE|DROP) /m.test(statement) ? statement : `EXPLAIN ${statement}`)
}

describe('"When something goes wrong"', () => {
  const rows = [
    ...readme.text
      .split('## When something goes wrong')[1]!
      .split('\n## ')[0]!
      .matchAll(/^\| `([^`]+)` \| (\d?) ?\| (.+) \|$/gm),
  ]

  it('quotes only what the program says', async () => {
    assert.ok(rows.length > 15)
    const said = await everythingSaid()
    for (const [, message = ''] of rows) for (const part of message.split('…')) assert.ok(said.includes(part.trim()), part)
  })

  it('names only exit codes that there are, and what to do', () => {
    for (const [, message, code = '', advice = ''] of rows) {
      assert.match(code, /^[0-5]?$/, message)
      assert.ok(advice.length > 10, message)
    }
  })
})

/** Every text of the source and of the migrations, with what a string is broken into put together again. */
async function everythingSaid(): Promise<string> {
  let all = ''
  for await (const path of glob(['src/**/*.ts', 'migrations/*.sql'], { cwd: CHECKOUT })) all += await readFile(`${CHECKOUT}${path}`, 'utf8')
  return all.replaceAll(/['`"] \+\s+['`"]/g, '').replaceAll('${LEDGER}', 'maintenance_migrations')
}
