import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { chromium, type Browser } from 'playwright-core'
import { JOBS } from '../../src/catalogue.ts'
import { DAY } from '../../src/time/clock.ts'
import { applyMigrations } from '../runs/support.ts'
import { CHROMIUM, CHROMIUM_ARGUMENTS, NO_CHROMIUM } from '../support/chromium.ts'
import { start, type Running } from '../support/command.ts'
import { POSTGRES_MAJORS } from '../support/databases.ts'
import { postgresDatabase } from '../support/engines.ts'
import { partition, partitioned, takenOut } from '../support/partitioned.ts'
import { until } from '../support/until.ts'
import { barriers, shot } from './looks.ts'

describe('partitions on the page, in a browser', { skip: CHROMIUM === undefined && NO_CHROMIUM }, () => {
  let browser: Browser
  let database: Awaited<ReturnType<typeof postgresDatabase>>
  let worker: Running
  let url: string
  const taken: string[] = []

  before(async () => {
    browser = await chromium.launch({ executablePath: CHROMIUM!, args: CHROMIUM_ARGUMENTS })
    database = await postgresDatabase(POSTGRES_MAJORS.at(-1)!)
    await applyMigrations(database.url)
    await partitioned(database)
    await database.sql(
      `INSERT INTO audit_logs (tool_name, "user", action, status, "timestamp") SELECT 't', 'u', 'invoke', 'success', '2999-01-01' FROM generate_series(1, 1234)`,
    )
    for (const day of [20, 21]) {
      await partition(database, day)
      taken.push(await takenOut(database, day, Date.now() - 2 * DAY))
    }
    const rarely = Object.fromEntries(JOBS.map((job) => [`${job.environment}_SCHEDULE`, '0 0 29 2 *']))
    // It would make and drop what is to be seen.
    const env = { DATABASE_URL: database.url, HTTP_ENABLED: 'true', HTTP_PORT: '0', PARTITIONS_ENABLED: 'false', ...rarely }
    worker = start([], { env })
    url = `${String((await worker.line((line) => line['event'] === 'http.listening'))['url'])}/`
    await worker.line((line) => line['event'] === 'migrations.current')
    await until('the page tells of partitions', async () =>
      (await (await fetch(url)).text()).includes('id="partitions"') ? true : undefined,
    )
  })

  after(async () => {
    await worker?.[Symbol.asyncDispose]()
    await browser?.close()
    await database?.[Symbol.asyncDispose]()
  })

  for (const [name, width] of [
    ['phone', 390],
    ['tablet', 768],
    ['desktop', 1280],
  ] as const) {
    it(`has room for all that is known of them, and no barrier that axe finds: ${name}`, async () => {
      const context = await browser.newContext({ viewport: { width, height: 900 } })
      try {
        const page = await context.newPage()
        await page.goto(url)
        await shot(page, `partitions ${name}`)
        const section = page.locator('section[aria-labelledby=partitions]')
        assert.deepEqual(await section.locator('dt').allInnerTexts(), ['audit_logs', 'ahead', 'default', 'detached', 'first'])
        const text = await section.innerText()
        for (const part of [
          /disabled by partitions\.enabled/,
          /13 partitions, since/,
          /1,234 rows/,
          new RegExp(`${taken.join(', ')}: to be dropped`),
        ])
          assert.match(text, part)
        const findings = (await page.locator('.attention li').allInnerTexts()).join('\n')
        for (const part of [
          /PARTITIONS_ENABLED is false/,
          /1,234 rows of audit_logs are in its DEFAULT partition/,
          /2 tables .* are still there/,
        ])
          assert.match(findings, part)
        assert.equal(await page.evaluate('document.documentElement.scrollWidth'), width)
        assert.deepEqual(await barriers(page), [])
      } finally {
        await context.close()
      }
    })
  }
})
