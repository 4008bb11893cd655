import type { IncomingMessage } from 'node:http'

export interface Target {
  readonly path: string
  /** As it was sent, with its port; `undefined`: it is missing, as HTTP/1.0 allows. */
  readonly host: string | undefined
}

/** The path and the host that a request names; `undefined`: it names a user, or several hosts, of which a proxy on the way may have chosen another. */
export function targetOf({ url = '', rawHeaders }: Pick<IncomingMessage, 'url' | 'rawHeaders'>): Target | undefined {
  const hosts = rawHeaders.filter((_, at) => at % 2 === 1 && rawHeaders[at - 1]!.toLowerCase() === 'host')
  if (hosts.length > 1) return undefined
  const [, authority, rest = url] = /^http:\/\/([^/?#]*)(.*)$/is.exec(url) ?? []
  if (authority?.includes('@')) return undefined
  const path = rest.split('?')[0]!
  // An absolute address, as it is sent to proxies, takes precedence over the header.
  return authority === undefined ? { path, host: hosts[0] } : { path: path === '' ? '/' : path, host: authority }
}
