import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core'
import { JOBS } from '../../src/catalogue.ts'
import { DAY, HOUR } from '../../src/time/clock.ts'
import { placedHold } from '../runs/keeping.ts'
import { pastRuns } from '../status/past-runs.ts'
import { CHROMIUM, CHROMIUM_ARGUMENTS, NO_CHROMIUM } from '../support/chromium.ts'
import { start, type Running } from '../support/command.ts'
import { sqliteDatabase } from '../support/engines.ts'
import { barriers, shot } from './looks.ts'

const LOOKS: Readonly<Record<string, BrowserContextOptions>> = {
  desktop: { viewport: { width: 1280, height: 900 } },
  phone: { viewport: { width: 390, height: 844 }, isMobile: true },
  'small phone': { viewport: { width: 360, height: 740 } },
  tablet: { viewport: { width: 768, height: 1024 } },
  dark: { viewport: { width: 1280, height: 900 }, colorScheme: 'dark' },
}

const LONG_NAME = 'Smith v. Example Corporation, preservation of 2026-11'

const HOSTILE = `<script>document.title = 'run'</script><img src="/x" onerror="document.title = 'run'">'"></td>`

describe('the page in a browser', { skip: CHROMIUM === undefined && NO_CHROMIUM }, () => {
  let browser: Browser
  let database: Awaited<ReturnType<typeof sqliteDatabase>>
  let worker: Running
  let url: string

  before(async () => {
    browser = await chromium.launch({ executablePath: CHROMIUM!, args: CHROMIUM_ARGUMENTS })
    database = await sqliteDatabase()
    const rarely = Object.fromEntries(JOBS.map((job) => [`${job.environment}_SCHEDULE`, '0 0 29 2 *']))
    worker = start([], { env: { DATABASE_URL: database.url, HTTP_ENABLED: 'true', HTTP_PORT: '0', ...rarely } })
    url = `${String((await worker.line((line) => line['event'] === 'http.listening'))['url'])}/`
    await worker.line((line) => line['event'] === 'migrations.current')
    await database.sql("INSERT INTO tools (name, description, path, permissions) VALUES ('t', 'd', 'p', '[]')")
    await placedHold(database, LONG_NAME, {}, { reviewAt: Date.now() + DAY })
    await placedHold(database, 'x'.repeat(64), { user: ['alice'] })
    const now = Date.now()
    await pastRuns(
      database,
      Array.from({ length: 80 * JOBS.length }, (_, index) => ({
        job: JOBS[index % JOBS.length]!.name,
        startedAt: now - HOUR - Math.floor(index / JOBS.length) * DAY,
        deleted: 1 + ((index * 7_919) % 12_000),
      })),
    )
  })

  after(async () => {
    worker.kill('SIGTERM')
    await worker.ended
    await browser.close()
    await database[Symbol.asyncDispose]()
  })

  for (const [name, options] of Object.entries(LOOKS)) {
    it(`requests nothing but itself, logs nothing to the console, and has no barrier that axe finds: ${name}`, async () => {
      await using opened = await open(options)
      const { page, requested, said } = opened
      assert.equal(await page.title(), 'All is well: maintenance of gateway.db')
      await shot(page, name)
      // A phone's window grows if something does not fit.
      assert.equal(await page.evaluate('document.documentElement.scrollWidth'), options.viewport!.width)
      assert.deepEqual(await barriers(page), [])
      await page.locator('summary').click()
      assert.deepEqual(await barriers(page), [])
      assert.deepEqual([requested, said], [[url], []])
    })
  }

  for (const name of ['desktop', 'phone', 'small phone', 'tablet'] as const) {
    it(`has room for the names of holds, however long: ${name}`, async () => {
      const { viewport } = LOOKS[name]!
      await using opened = await open(LOOKS[name])
      const { page } = opened
      await shot(page, `holds ${name}`)
      assert.deepEqual(await page.locator('.holds dt').allInnerTexts(), [LONG_NAME, 'x'.repeat(64)])
      assert.equal(await page.evaluate('document.documentElement.scrollWidth'), viewport!.width)
      assert.deepEqual(await barriers(page), [])
    })
  }

  it('follows the colour scheme that the reader prefers', async () => {
    const shades: number[] = []
    for (const colorScheme of ['light', 'dark'] as const) {
      await using opened = await open({ colorScheme })
      const colour = String(await opened.page.evaluate('getComputedStyle(document.body).backgroundColor'))
      shades.push(Number(/\d+/.exec(colour)![0]))
    }
    assert.ok(shades[0]! > 200 && shades[1]! < 50, shades.join())
  })

  it('shows everything without scripts', async () => {
    await using opened = await open({ javaScriptEnabled: false })
    const text = await opened.page.locator('body').innerText()
    for (const { name } of JOBS) assert.match(text, new RegExp(`^${name}$`, 'm'))
    assert.equal(await opened.page.locator('script').count(), 0)
  })

  it('opens the numbers of the chart with the keyboard', async () => {
    await using opened = await open()
    const { page } = opened
    const cell = page.locator('.days tbody td').first()
    assert.equal(await cell.isVisible(), false)
    for (let tabs = 0; tabs < 5; tabs += 1) {
      await page.keyboard.press('Tab')
      if (await page.evaluate("document.activeElement.tagName === 'SUMMARY'")) break
    }
    await page.keyboard.press('Enter')
    assert.equal(await cell.isVisible(), true)
    assert.equal(await cell.innerText(), '1')
  })

  it('shows markup in the database as text', async () => {
    const job = JOBS[0]!.name
    await pastRuns(database, [
      { job, startedAt: Date.now(), deleted: 0, outcome: 'failed', error: HOSTILE, worker: HOSTILE },
      { job: HOSTILE, startedAt: Date.now(), deleted: 5 },
    ])
    // The status is read again once the last reading is a second old.
    let opened = await open()
    while ((await opened.page.locator('.why').count()) === 0) {
      await opened[Symbol.asyncDispose]()
      opened = await open()
    }
    await using last = opened
    const { page, requested, said } = last
    assert.equal(await page.title(), 'One thing needs a look: maintenance of gateway.db')
    assert.equal(await page.locator('.attention li').innerText(), `the last run of ${job} failed: ${HOSTILE}`)
    assert.equal(await page.locator('.why small').innerText(), HOSTILE)
    assert.ok((await page.locator('.chart text').allTextContents()).includes(HOSTILE))
    assert.equal(await page.locator('script, img').count(), 0)
    assert.deepEqual([requested, said], [[url], []])
    assert.deepEqual(await barriers(page), [])
    await shot(page, 'attention')
  })

  async function open(options: BrowserContextOptions = {}): Promise<Opened> {
    const context = await browser.newContext(options)
    const page = await context.newPage()
    const requested: string[] = []
    const said: string[] = []
    // The icon is part of the page, so it needs no request.
    page.on('request', (request) => void (request.url().startsWith('data:') || requested.push(request.url())))
    page.on('console', (message) => void said.push(message.text()))
    page.on('pageerror', (error) => void said.push(error.message))
    await page.goto(url)
    return { page, requested, said, [Symbol.asyncDispose]: () => context.close() }
  }
})

interface Opened extends AsyncDisposable {
  readonly page: Page
  readonly requested: readonly string[]
  readonly said: readonly string[]
}
