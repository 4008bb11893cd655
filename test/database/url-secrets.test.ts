import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { displayUrl, parseDatabaseUrl } from '../../src/database/url/database-url.ts'
import { MaintenanceError } from '../../src/errors.ts'

test('no piece of the password is in an error, a note or what is shown, however the URL is broken', () => {
  const glue = fc.string({
    unit: fc.constantFrom(...`@/#?&=%:;+, []"'\\é\n`.split(''), '%4', '%40', '%00', 'ssl', '1', 'password='),
    maxLength: 4,
  })
  const form = fc.constantFrom<(password: string) => string>(
    (password) => `postgresql://u:${password}@h:5432/db?sslmode=require`,
    (password) => `postgresql+asyncpg://u:${password}@h/db?ssl=bogus`,
    (password) => `postgres://u:1${password}@h:x/db`,
    (password) => `mysql://u:${password}@h/db`,
    (password) => `sqlite://u:${password}@h/db`,
    (password) => `u:${password}@h/db`,
    (password) => `postgresql:/u:${password}@h/db`,
    (password) => `postgresql://h/db?user=u&password=${password}&foo=1`,
    (password) => `jdbc:postgresql://h/db?user=u&password=${password}&foo=1`,
    (password) => `jdbc:postgresql://u:${password}@h/db`,
    (password) => `jdbc:postgresql:u:${password}@h/db`,
    (password) => `host=h user=u password=${password}`,
    (password) => password,
  )
  let accepted = 0
  fc.assert(
    fc.property(form, glue, glue, glue, (write, before, between, after) => {
      const text = write(`${before}sEcReTa${between}sEcReTb${after}`)
      // A whole URL of its own: host, database and a password with an @ in it.
      fc.pre(!/^jdbc:postgresql:..u:.*[?&]password=/s.test(text))
      let seen: string
      try {
        const url = parseDatabaseUrl(text)
        accepted += 1
        seen = `${displayUrl(url)} ${url.notes.join(' ')}`
      } catch (error) {
        assert.ok(error instanceof MaintenanceError)
        seen = error.message
      }
      assert.doesNotMatch(seen, /secret[ab]/i)
    }),
    { numRuns: 5_000 },
  )
  assert.ok(accepted > 100, `only ${accepted} accepted`)
})
