import type { TestDatabase, TestEngine } from '../support/engines.ts'

export function isSqlite({ name }: TestEngine): boolean {
  return name === 'sqlite'
}

/** A time as text of one form on both engines, so that the later one is the greater. */
export function asText(engine: TestEngine, expression: string): string {
  return isSqlite(engine) ? expression : `to_char(${expression}, 'YYYY-MM-DD HH24:MI:SS.US')`
}

/** The file of a SQLite database. */
export function fileOf({ url }: Pick<TestDatabase, 'url'>): string {
  return url.slice('sqlite:///'.length)
}

/** `2026-05-05 03:00:00.123000`, as the gateway writes it. */
export function stamp(epochMs: number): string {
  return `${new Date(epochMs).toISOString().slice(0, -1).replace('T', ' ')}000`
}
