import type { Label } from '../../database.ts'
import type { PostgresUrl, Server } from '../../url/url-types.ts'

/** `host:port`, and the address where the name alone does not say it. */
export function nameOf({ host, port, address }: Server): string {
  const name = `${host.includes(':') ? `[${host}]` : host}:${port}`
  return address === undefined || address === host ? name : `${name} (${address})`
}

/** `host:port` of each server, and the database's name. */
export function placeOf({ servers, database }: PostgresUrl): { readonly place: string; readonly name: string } {
  return { place: servers.map(({ host, port }) => nameOf({ host, port, address: undefined })).join(','), name: database }
}

export function postgresLabel(url: PostgresUrl): Label {
  return { engine: 'postgres', ...placeOf(url) }
}
