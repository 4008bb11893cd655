export interface Answer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Buffer | string
}

/** A request that is refused. S3 says why in XML, except to HEAD. */
export class S3Failure extends Error {
  override readonly name = 'S3Failure'
  readonly status: number
  readonly code: string
  readonly elements: Readonly<Record<string, string>>
  readonly headers: Readonly<Record<string, string>>

  constructor(
    status: number,
    code: string,
    message: string,
    more: { readonly elements?: Readonly<Record<string, string>>; readonly headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(message)
    this.status = status
    this.code = code
    this.elements = more.elements ?? {}
    this.headers = more.headers ?? {}
  }

  answer(): Answer {
    const elements = { Code: this.code, Message: this.message, ...this.elements, RequestId: 'TESTS' }
    return { status: this.status, headers: this.headers, body: xml('Error', textElements(elements)) }
  }
}

export function xml(name: string, content: string): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${name} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${content}</${name}>`
}

export function textElements(elements: Readonly<Record<string, string | number | boolean | undefined>>): string {
  return Object.entries(elements)
    .map(([name, value]) => (value === undefined ? '' : `<${name}>${escaped(String(value))}</${name}>`))
    .join('')
}

/** As S3 does, which sends characters that XML 1.0 does not know: who lists such keys has to ask for `encoding-type=url`. */
function escaped(text: string): string {
  return text.replaceAll(/[&<>"\p{Cc}]/gu, (mark) => `&#x${mark.codePointAt(0)!.toString(16)};`)
}

export function unescaped(text: string): string {
  const named: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }
  return text.replaceAll(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (whole, hex?: string, decimal?: string, name?: string) => {
    if (hex !== undefined) return String.fromCodePoint(Number.parseInt(hex, 16))
    return decimal === undefined ? (named[name!] ?? whole) : String.fromCodePoint(Number(decimal))
  })
}
