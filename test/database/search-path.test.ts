import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Client } from 'pg'
import { firstSchema, searchPathOf } from '../../src/database/url/search-path.ts'
import { freshPostgres } from '../support/databases.ts'

const PATHS: readonly (readonly [path: string, first: string | undefined])[] = [
  ['gw', 'gw'],
  ['GW, public', 'gw'],
  ['"GW"', 'GW'],
  ['"a""b"', 'a"b'],
  ['"a,b", public', 'a,b'],
  ['"a b" , c', 'a b'],
  ['  gw  ,  public  ', 'gw'],
  ['"$user", gw', 'gw'],
  ['$user,gw', 'gw'],
  ['pg_catalog, "Gate Way.1"', 'Gate Way.1'],
  ['pg_temp,information_schema', undefined],
  ['GÄTEWAY', 'gÄteway'],
  ['', undefined],
]

describe('the first schema of a search path', () => {
  for (const [path, first] of PATHS) test(JSON.stringify(path), () => assert.equal(firstSchema(path), first))
  // The server refuses the connection, and says so itself.
  for (const path of ['"gw', 'gw,', ',gw', 'gw public', '"gw"x', 'gw,,public'])
    test(`none of what no server takes: ${path}`, () => assert.equal(firstSchema(path), undefined))
})

const OPTIONS: readonly (readonly [options: string, path: string | undefined])[] = [
  ['-c search_path=gw', 'gw'],
  ['-csearch_path=gw', 'gw'],
  ['--search_path=gw', 'gw'],
  ['--search-path=gw', 'gw'],
  ['-c SEARCH_PATH=gw', 'gw'],
  ['-c search-Path=gw', 'gw'],
  ['-csearch_path="a""b"', '"a""b"'],
  ['-csearch_path="a,b"', '"a,b"'],
  ['-c search_path="Gate\\ Way.1",public', '"Gate Way.1",public'],
  ['-c search_path=a\\\\b', 'a\\b'],
  ['-c search_path=one -c search_path=two', 'two'],
  ['--search_path=one -c work_mem=1MB -c SEARCH-PATH=two', 'two'],
  ['-c work_mem=1MB --search-path=one', 'one'],
  ['-e -c search_path=gw', 'gw'],
  ['-ec search_path=gw', 'gw'],
  ['-c application_name=search_path=no', undefined],
  ['-c application_name=-csearch_path=no', undefined],
  ['-c role=gateway', undefined],
  ['', undefined],
]

describe('the search path of options', () => {
  for (const [options, path] of OPTIONS) test(JSON.stringify(options), () => assert.equal(searchPathOf(options), path))

  test('the search path in options is read as a server reads it', async () => {
    await using fresh = await freshPostgres(18)
    for (const [, first] of PATHS)
      if (first !== undefined) await fresh.admin.query(`CREATE SCHEMA IF NOT EXISTS "${first.replaceAll('"', '""')}"`)
    const shown = async (options: string, sql: string): Promise<unknown> => {
      const url = new URL(fresh.url)
      url.searchParams.set('options', options)
      const client = new Client({ connectionString: url.href })
      await client.connect()
      try {
        return (await client.query<{ shown: unknown }>(sql)).rows[0]?.shown
      } finally {
        await client.end()
      }
    }
    for (const [options, path] of OPTIONS)
      if (path !== undefined && !path.includes('\\'))
        assert.equal(await shown(options, `SELECT current_setting('search_path') AS shown`), path, options)
    for (const [path, first] of PATHS)
      if (first !== undefined)
        assert.equal(
          await shown(
            `-c search_path=${path.replace(/[\\ ]/g, '\\$&')}`,
            `SELECT name AS shown FROM unnest(current_schemas(false)) WITH ORDINALITY AS s (name, at) WHERE name <> 'pg_catalog' ORDER BY at LIMIT 1`,
          ),
          first,
          path,
        )
  })
})
