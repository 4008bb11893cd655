import assert from 'node:assert/strict'
import { test } from 'node:test'
import { plainDefault, plainDefinition, plainView } from '../../../src/database/postgres/examining/definitions.ts'

test('a view is the same, whichever version wrote it out, and in whichever schema', () => {
  const written = [
    ` SELECT audit_logs.id,\n    timezone('UTC'::text, to_timestamp(((audit_logs.at)::double precision / '1000'::double precision))) AS at\n   FROM public.audit_logs\n  WHERE (audit_logs.status = 'a.b(c'::text)\n  ORDER BY audit_logs.at DESC;`,
    ` SELECT id,\n    (to_timestamp(((at)::double precision / '1000'::double precision)) AT TIME ZONE 'UTC'::text) AS at\n   FROM public.audit_logs\n  WHERE ((status)::text = 'a.b(c'::text)\n  ORDER BY at DESC;`,
  ]
  assert.equal(new Set(written.map((each) => plainView(each, ['public', 'v']))).size, 1)
  const odd = written.map((each) => plainView(each.replace('public.', '"Odd ""schema".'), ['Odd "schema', 'v']))
  assert.deepEqual(
    odd,
    written.map((each) => plainView(each, ['public', 'v'])),
  )
})

test('what differs stays different', () => {
  assert.notEqual(view(`x = 'a'::text`), view(`x = 'b'::text`))
  assert.notEqual(view(`x = '(a)'::text`), view(`x = 'a'::text`))
  assert.notEqual(plainView('SELECT id FROM other.a', ['public', 'v']), plainView('SELECT id FROM public.a', ['public', 'v']))
  assert.notEqual(
    plainView('SELECT notpublic.id FROM b notpublic', ['public', 'v']),
    plainView('SELECT notid FROM b notpublic', ['public', 'v']),
  )
  assert.notEqual(plainDefault(`timezone('CET'::text, now())`), plainDefault(`timezone('UTC'::text, now())`))
})

test('a trigger is what follows its name, without its table', () => {
  assert.equal(
    plainDefinition(
      'CREATE TRIGGER "a ON b" BEFORE UPDATE ON "Odd schema"."t ON u" FOR EACH ROW EXECUTE FUNCTION "Odd schema".f()',
      'Odd schema',
    ),
    'BEFORE UPDATE FOR EACH ROW EXECUTE FUNCTION f()',
  )
  assert.equal(
    plainDefinition('CREATE TRIGGER a AFTER INSERT ON public.t FOR EACH ROW EXECUTE FUNCTION other.f()', 'public'),
    'AFTER INSERT FOR EACH ROW EXECUTE FUNCTION other.f()',
  )
})

function view(condition: string): string {
  return plainView(` SELECT id FROM public.a WHERE (${condition})`, ['public', 'v'])
}
