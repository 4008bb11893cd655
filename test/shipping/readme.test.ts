import assert from 'node:assert/strict'
import { access, readFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { JOBS } from '../../src/catalogue.ts'
import { parseCommand } from '../../src/cli.ts'
import { describeSettings } from '../../src/config/schema.ts'
import { parseDatabaseUrl } from '../../src/database/url.ts'
import { withSettingsTable } from '../../tools/settings-table.ts'
import { CHECKOUT } from './checkout.ts'

const readme = await readFile(`${CHECKOUT}README.md`, 'utf8')
const { scripts }: { scripts: Record<string, string> } = JSON.parse(await readFile(`${CHECKOUT}package.json`, 'utf8'))
const shell = [...readme.matchAll(/```sh\n([^]*?)```/g)].map((match) => match[1]!).join('')

describe('README.md', () => {
  it('lists the settings that there are, as "npm run docs" writes them', () => {
    assert.equal(withSettingsTable(readme), readme)
  })

  it('names every job, and no environment variable that is not read', () => {
    assert.deepEqual(
      JOBS.filter((job) => !readme.includes(`| \`${job.name}\` |`)),
      [],
    )
    const known = new Set([...describeSettings().flatMap((setting) => setting.environment), 'MAINTENANCE_CONFIG', 'SECRETS'])
    const named = [...readme.matchAll(/\b([A-Z]+(?:_[A-Z]+)+)\b|\b(SECRETS)=/g)].map((match) => match[1] ?? match[2]!)
    assert.deepEqual(
      named.filter((name) => !known.has(name)),
      [],
    )
  })

  it('shows only command lines that the program understands', () => {
    const lines = [...shell.matchAll(/(?:npm start --|run --rm maintenance|npx mcp-gateway-maintenance) +([^#\n]+)/g)]
    assert.ok(lines.length >= 8)
    for (const [, words] of lines) assert.doesNotThrow(() => parseCommand(words!.trim().split(/\s+/)), words)
  })

  it('shows only npm scripts that package.json has', () => {
    const named = [...readme.matchAll(/\bnpm run (?:-s )?([\w:-]+)/g)].map((match) => match[1]!)
    assert.ok(named.length > 4)
    assert.deepEqual(
      named.filter((name) => !(name in scripts)),
      [],
    )
  })

  it('shows only database URLs that are understood', () => {
    const urls = [...readme.matchAll(/(?<![\w+:])(?:jdbc:)?(?:sqlite|postgres(?:ql)?)(?:\+\w+)?:\/\/[^\s'`]*/g)].map((match) => match[0])
    assert.ok(urls.length >= 8)
    for (const url of urls.filter((each) => !each.includes('…') || each.startsWith('jdbc')))
      assert.doesNotThrow(() => parseDatabaseUrl(url.replace('…', 'x')), url)
  })

  it('links and names only files that are there', async () => {
    const links = [...readme.matchAll(/\]\(([^)#]+)\)/g)].map((match) => match[1]!).filter((link) => !link.includes('://'))
    const named = [...shell.matchAll(/(?<= )(?:deploy|test|\.ci)\/[\w./-]+/g)].map((match) => match[0])
    assert.ok(links.length > 3 && named.length > 1)
    for (const path of [...links, ...named, 'deploy/compose/example-secrets']) await access(`${CHECKOUT}${path}`)
  })

  it('quotes "user" in every query', () => {
    const queries = [...readme.matchAll(/```sql\n([^]*?)```/g)].map((match) => match[1]!)
    assert.ok(queries.length > 0)
    assert.deepEqual(
      queries.filter((query) => /(?<!")\buser\b(?!")/.test(query)),
      [],
    )
  })
})
