import { generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto'
import { isIP } from 'node:net'
import { DAY } from '../../src/time/clock.ts'

/** What one side of a TLS connection shows, in PEM. */
export interface Identity {
  readonly certificate: string
  readonly key: KeyObject
  /** The key as a file holds it: unencrypted PKCS#8. */
  readonly keyText: string
  readonly serial: Buffer
}

/** An authority of one run of the tests: its root certificate, and what it signs. */
export class Authority {
  readonly #name: string
  readonly #keys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  readonly root: string

  constructor(name: string) {
    this.#name = name
    this.root = this.#certificate(name, this.#keys.publicKey, randomBytes(8), [extension('2.5.29.19', sequence(BOOLEAN_TRUE), true)])
  }

  /** For a server of these names and addresses; the first is its common name. */
  server(...hosts: readonly [string, ...string[]]): Identity {
    const names = hosts.map((host) =>
      isIP(host) === 4 ? tagged(0x87, Buffer.from(host.split('.').map(Number))) : tagged(0x82, Buffer.from(host)),
    )
    return this.#identity(hosts[0], [extension('2.5.29.17', sequence(...names))])
  }

  /** For the user of this name. */
  client(user: string): Identity {
    return this.#identity(user, [])
  }

  /** The list of revoked certificates. */
  revoking(...revoked: readonly Identity[]): string {
    const entries = revoked.map(({ serial }) => sequence(integer(serial), time(-DAY)))
    const list = sequence(
      integer(Buffer.from([1])),
      ECDSA_WITH_SHA256,
      nameOf(this.#name),
      time(-DAY),
      time(365 * DAY),
      ...(entries.length === 0 ? [] : [sequence(...entries)]),
    )
    return pem('X509 CRL', this.#signed(list))
  }

  #identity(name: string, extensions: readonly Buffer[]): Identity {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    // A positive number: the first bit is its sign.
    const serial = Buffer.concat([Buffer.from([1]), randomBytes(7)])
    const certificate = this.#certificate(name, publicKey, serial, extensions)
    return { certificate, key: privateKey, keyText: String(privateKey.export({ format: 'pem', type: 'pkcs8' })), serial }
  }

  #certificate(subject: string, key: KeyObject, serial: Buffer, extensions: readonly Buffer[]): string {
    const body = sequence(
      tagged(0xa0, integer(Buffer.from([2]))),
      integer(Buffer.concat([Buffer.from([1]), serial.subarray(1)])),
      ECDSA_WITH_SHA256,
      nameOf(this.#name),
      sequence(time(-DAY), time(365 * DAY)),
      nameOf(subject),
      key.export({ format: 'der', type: 'spki' }),
      ...(extensions.length === 0 ? [] : [tagged(0xa3, sequence(...extensions))]),
    )
    return pem('CERTIFICATE', this.#signed(body))
  }

  #signed(body: Buffer): Buffer {
    const signature = sign('sha256', body, this.#keys.privateKey)
    return sequence(body, ECDSA_WITH_SHA256, tagged(0x03, Buffer.concat([Buffer.from([0]), signature])))
  }
}

/** A value of ASN.1 in its distinguished encoding: https://www.itu.int/rec/T-REC-X.690 */
function tagged(tag: number, ...contents: readonly Buffer[]): Buffer {
  const content = Buffer.concat(contents)
  const { length } = content
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...size]), content])
}

function sequence(...contents: readonly Buffer[]): Buffer {
  return tagged(0x30, ...contents)
}

function integer(bytes: Buffer): Buffer {
  return tagged(0x02, bytes)
}

function identifier(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split('.').map(Number)
  const bytes = rest.flatMap((part) => {
    const digits = [part & 0x7f]
    for (let left = part >> 7; left > 0; left >>= 7) digits.unshift((left & 0x7f) | 0x80)
    return digits
  })
  return tagged(0x06, Buffer.from([40 * first + second, ...bytes]))
}

const BOOLEAN_TRUE = tagged(0x01, Buffer.from([0xff]))
const ECDSA_WITH_SHA256 = sequence(identifier('1.2.840.10045.4.3.2'))

function extension(id: string, value: Buffer, critical = false): Buffer {
  return sequence(identifier(id), ...(critical ? [BOOLEAN_TRUE] : []), tagged(0x04, value))
}

function nameOf(common: string): Buffer {
  return sequence(tagged(0x31, sequence(identifier('2.5.4.3'), tagged(0x0c, Buffer.from(common)))))
}

/** From now on, in the form for years before 2050. */
function time(fromNowMs: number): Buffer {
  const text = new Date(Date.now() + fromNowMs).toISOString().replaceAll(/[-:T]|\.\d+/g, '')
  return tagged(0x17, Buffer.from(text.slice(2)))
}

function pem(label: string, bytes: Buffer): string {
  return `-----BEGIN ${label}-----\n${bytes.toString('base64').replaceAll(/.{64}(?=.)/g, '$&\n')}\n-----END ${label}-----\n`
}
