import type { IncomingMessage } from 'node:http'

export interface Target {
  readonly path: string
  /** With its port, as it was sent; `undefined`: HTTP/1.0, where it may be missing. */
  readonly host: string | undefined
}

/** What a request asks for and of whom; `undefined`: it names a user, or several hosts, of which somebody in between may have taken another. */
export function targetOf({ url = '', rawHeaders }: Pick<IncomingMessage, 'url' | 'rawHeaders'>): Target | undefined {
  const hosts = rawHeaders.filter((_, at) => at % 2 === 1 && rawHeaders[at - 1]!.toLowerCase() === 'host')
  if (hosts.length > 1) return undefined
  const [, authority, rest = url] = /^http:\/\/([^/?#]*)(.*)$/is.exec(url) ?? []
  if (authority?.includes('@')) return undefined
  const path = rest.split('?')[0]!
  // The whole address, as proxies are asked with, goes before the header.
  return authority === undefined ? { path, host: hosts[0] } : { path: path === '' ? '/' : path, host: authority }
}
