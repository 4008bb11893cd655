import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hostRule, isHostPattern, isLoopback } from '../../src/http/hosts.ts'

test('names, addresses, every name below one and every host can be listed', () => {
  for (const entry of [
    'localhost',
    'a',
    'Maintenance.Example.com',
    'example.com.',
    'my_service',
    '*.example.com',
    '*.internal',
    '*',
    '10.0.0.7',
    '::1',
    '[2001:DB8::1]',
  ])
    assert.ok(isHostPattern(entry), entry)
  for (const entry of [
    '',
    '.',
    '..',
    '*.',
    '**',
    'a.*',
    '*.*.a',
    '*a.com',
    '*.10.0.0.7',
    '*.::1',
    'example.com:9465',
    '[::1]:80',
    'http://a',
    'a/b',
    'u@a',
    'a b',
    'a..b',
    'a-',
    '-a',
    'münchen.example',
    '0x7f.1',
    '127.1',
    `${'a'.repeat(64)}.b`,
    'a.'.repeat(127) + 'a',
    'a\r\nb',
  ])
    assert.ok(!isHostPattern(entry), JSON.stringify(entry))
})

test('a listed host is recognised in every spelling', () => {
  const spellings: [listed: string, asked: string, fits: boolean][] = [
    ['EXAMPLE.com', 'example.COM:80', true],
    ['example.com.', 'example.com', true],
    ['example.com', 'example.com.:1', true],
    ['::1', '[0:0:0:0:0:0:0:1]:80', true],
    ['[2001:DB8::1]', '[2001:db8:0::1]', true],
    ['*.example.com', 'a.example.com', true],
    ['*.example.com', 'example.com', false],
    ['*.example.com', '.example.com', false],
    ['*.example.com', 'a.example.com.evil', false],
    ['*', 'anything', true],
    ['example.com', 'example.com:99999', false],
    ['example.com', 'example.com/x', false],
    ['example.com', 'example.com\\@evil', false],
  ]
  for (const [listed, asked, fits] of spellings)
    assert.equal(hostRule({ loopback: false, allowed: [listed] })(asked), fits, `${listed} ${asked}`)
  assert.deepEqual(
    [['*'], ['a']].map((allowed) => hostRule({ loopback: true, allowed })(undefined)),
    [true, false],
  )
})

test('addresses of this machine are distinguished from others', () => {
  assert.deepEqual(['127.0.0.1', '127.8.9.1', '::1', '::ffff:127.0.0.1'].map(isLoopback), [true, true, true, true])
  assert.deepEqual(['0.0.0.0', '::', '10.0.0.1', '128.0.0.1', '::ffff:10.0.0.1', 'fe80::1'].map(isLoopback), [
    false,
    false,
    false,
    false,
    false,
    false,
  ])
})
