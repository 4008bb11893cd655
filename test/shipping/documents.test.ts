import assert from 'node:assert/strict'
import { access, glob, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { parseDatabaseUrl } from '../../src/database/url/database-url.ts'
import { LIBPQ_PARAMETERS } from '../../src/database/url/libpq-parameters.ts'
import { readMigrationFiles } from '../../src/migrations/migration-files.ts'
import { eventRows } from '../../tools/events-table.ts'
import { broughtUpToDate, FILES } from '../../tools/generated.ts'
import { migrated } from '../migrations/support.ts'
import { POSTGRES_MAJORS } from '../support/databases.ts'
import { postgresDatabase, sqliteDatabase, type TestDatabase } from '../support/engines.ts'
import { CHECKOUT } from './checkout.ts'
import { anchorsOf, linksIn, readDocuments } from './documents.ts'
import { ENVIRONMENT } from './offered.ts'

const documents = await readDocuments()
const readme = documents.find(({ file }) => file === 'README.md')!
const pages = documents.filter(({ file }) => file.startsWith('docs/') && file !== 'docs/README.md')
/**
 * Names that are not settings: the variable that names the settings' file, those of terminals, Node, the Dockerfile, Compose, compose.yaml and the tests, a
 * variable of psql, an error of SQLite, and libpq's.
 */
const OTHERS = new Set<string | undefined>([
  'MAINTENANCE_CONFIG',
  'NODE_IMAGE',
  'NO_COLOR',
  'NODE_IMAGE',
  'NODE_OPTIONS',
  'NODE_EXTRA_CA_CERTS',
  // of the AWS SDK
  'AWS_REGION',
  'AWS_ACCESS_KEY_ID',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SESSION_TOKEN',
  'AWS_ROLE_ARN',
  'AWS_WEB_IDENTITY_TOKEN_FILE',
  'SECRETS',
  'COMPOSE_FILE',
  'MCP_TEST_ARCHIVE',
  'MCP_TEST_DATABASES',
  'PAGE_SCREENSHOTS',
  'TEST_POSTGRES_MAJORS',
  'ON_ERROR_STOP',
  'SQLITE_BUSY',
  ...LIBPQ_PARAMETERS.map(({ variable }) => variable),
])
/** Codes of errors, as the log has them, with their exit codes. */
const ERROR_CODES = new Map(
  [...(await readFile(`${CHECKOUT}src/errors.ts`, 'utf8')).matchAll(/^ {2}([A-Z_]+): (\d),$/gm)].map((match) => [match[1]!, match[2]!]),
)

it('the tables that repeat the code are as "npm run docs" writes them', async () => {
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

for (const { file, text, prose } of documents) {
  describe(file, () => {
    it('names only environment variables that are read', () => {
      const withoutQueries = text.replaceAll(/```sql\n[^]*?```/g, '').replaceAll(/CURRENT_TIMESTAMP/g, '')
      const named = [...withoutQueries.matchAll(/\b([A-Z]+(?:_[A-Z]+)+)\b|\b(SECRETS)=/g)].map((match) => match[1] ?? match[2]!)
      assert.deepEqual(
        named.filter((name) => !ENVIRONMENT.has(name) && !OTHERS.has(name) && !ERROR_CODES.has(name)),
        [],
      )
    })

    it('links only to files that exist, and to headings that they have', async () => {
      for (const link of linksIn(prose)) {
        if (/^\w+:/.test(link)) continue
        const [path = '', heading] = link.split('#')
        const target = path === '' ? file : join(dirname(file), path)
        await access(join(CHECKOUT, target))
        if (heading === undefined) continue
        const headings = anchorsOf(documents.find((document) => document.file === target)?.prose ?? '')
        assert.ok(headings.includes(heading), `${link}: the headings are ${headings.join(', ')}`)
      }
    })

    it('has no link that is broken by a space or a line break', () => {
      assert.doesNotMatch(prose, /\]\([^)]*\s[^)]*\)|\]\s+\([\w./#-]+\.\w+\)/)
    })

    it('shows only database URLs that are understood', () => {
      const urls = [...text.matchAll(/(?<![\w+:])(?:jdbc:)?(?:sqlite|postgres(?:ql)?)(?:\+\w+)?:\/\/[^\s'`]*/g)].map((match) => match[0])
      for (const url of urls.filter((each) => !each.includes('…') || each.startsWith('jdbc')))
        assert.doesNotThrow(() => parseDatabaseUrl(url.replace('…', 'x')), url)
    })
  })
}

describe('README.md', () => {
  it('can be read in a minute, in the order in which it is needed', () => {
    assert.ok(readme.text.split('\n').length - 1 <= 190)
    const headings = [...readme.prose.matchAll(/^## (.+)$/gm)].map((match) => match[1])
    assert.deepEqual(headings, [
      'Quick start',
      'When it pages you',
      'Ways to run it',
      'Existing databases',
      'The settings people change',
      'Archive',
      'Observe',
      'Performance',
      'Security',
      'Development',
    ])
  })

  it('lists every exit code', () => {
    const codes = [...readme.text.matchAll(/^\| (\d) \|/gm)].map((match) => match[1])
    assert.deepEqual(codes, ['0', '1', '2', '3', '4', '5'])
  })
})

describe('docs/', () => {
  it('has an index with every page, in the words in which the page asks its question', () => {
    const index = documents.find(({ file }) => file === 'docs/README.md')!
    const listed = [...index.text.matchAll(/^\| \[([^\]]+)\]\(([^)]+)\) \| (.+\?) \|$/gm)]
    assert.deepEqual(
      listed.map(([, shown, target, question]) => ({ shown, target, question })).toSorted((a, b) => a.target!.localeCompare(b.target!)),
      pages
        .map(({ file, text }) => ({ file: file.slice('docs/'.length), question: /^# .+\n\n\*(.+\?)\*\n/.exec(text)?.[1] }))
        .map(({ file, question }) => ({ shown: file, target: file, question }))
        .toSorted((a, b) => a.target.localeCompare(b.target)),
    )
  })
})

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

/** Statements that read or write rows are only explained; those that create or drop something are run. */
async function understood(database: TestDatabase, statement: string): Promise<void> {
  await database.sql(/^(?:CREATE|DROP) /m.test(statement) ? statement : `EXPLAIN ${statement}`)
}

describe('docs/troubleshooting.md', () => {
  const { text: whole } = documents.find(({ file }) => file === 'docs/troubleshooting.md')!
  const messages = whole.indexOf('\n## Connecting\n')
  const [alerts, text] = [whole.slice(0, messages), whole.slice(messages)]
  const rows = [...text.matchAll(/^\| `([^`]+)` \| (\d?) ?\| (.+) \|$/gm)]

  it('quotes only what the program says', async () => {
    assert.ok(rows.length > 35)
    assert.equal(rows.length, text.match(/^\| `/gm)?.length, 'every row has a message, an exit code or none, and what to do')
    const said = await everythingSaid()
    for (const [, message = ''] of rows) for (const part of message.split('…')) assert.ok(said.includes(part.trim()), part)
  })

  it('quotes for an alert, in what one sees, only what the program says', async () => {
    const seen = [...alerts.matchAll(/^\| (.+?) \| .+ \|$/gm)].flatMap(([, cell = '']) => [...cell.matchAll(/`([^`]+)`/g)])
    assert.ok(seen.length > 25)
    const said = await everythingSaid()
    for (const [, message = ''] of seen) for (const part of message.split('…')) assert.ok(said.includes(part.trim()), part)
  })

  it('lists every error code with its exit code', () => {
    const documented = [...text.matchAll(/^((?:`[A-Z_]+` ?)+): exit code (\d)\./gm)].flatMap(([, codes = '', exit = '']) =>
      [...codes.matchAll(/[A-Z_]+/g)].map(([code]) => `${code} ${exit}`),
    )
    assert.deepEqual(documented.toSorted(), [...ERROR_CODES].map(([code, exit]) => `${code} ${exit}`).toSorted())
  })

  it('has a section for every alert, at the anchor that the alert links to', async () => {
    const { prose } = documents.find(({ file }) => file === 'docs/troubleshooting.md')!
    const anchors = anchorsOf(prose)
    let sections = 0
    for await (const file of glob('deploy/prometheus/*.yml', { cwd: CHECKOUT })) {
      const rules = await readFile(`${CHECKOUT}${file}`, 'utf8')
      for (const [, alert = ''] of rules.matchAll(/^ +- alert: (\w+)$/gm)) {
        sections += 1
        assert.ok(anchors.includes(`alert-${alert.toLowerCase()}`), `"### Alert: ${alert}"`)
      }
      for (const [, page, anchor = ''] of rules.matchAll(/runbook_url: (\S+)#(\S+)$/gm))
        assert.ok(page === 'docs/troubleshooting.md' && anchors.includes(anchor), anchor)
    }
    assert.ok(sections > 5)
  })

  it('names only exit codes that exist, and says what to do', () => {
    for (const [, message, code = '', advice = ''] of rows) {
      assert.match(code, /^[0-5]?$/, message)
      assert.ok(advice.length > 10, message)
    }
  })
})

/** Every text of the source and of the migrations, with the parts of each string joined again. */
async function everythingSaid(): Promise<string> {
  let all = ''
  for await (const path of glob(['src/**/*.ts', 'migrations/*.sql'], { cwd: CHECKOUT })) all += await readFile(`${CHECKOUT}${path}`, 'utf8')
  return all.replaceAll(/['`"] \+\s+['`"]/g, '').replaceAll('${LEDGER}', 'maintenance_migrations')
}
