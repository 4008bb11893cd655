import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { describe, it } from 'node:test'
import { ChainCheck, type ChainVerdict } from '../../src/receipts/receipt-chain.ts'
import { envelopeLine, parseEnvelope, type SignedText } from '../../src/receipts/envelope.ts'
import { digestOf } from '../../src/receipts/digest.ts'
import { parseReceipt, receiptText, type HoldFacts } from '../../src/receipts/receipt.ts'
import { signerOf, verifierOf, type Signer, type Verifier } from '../../src/receipts/signing.ts'

const FACTS: HoldFacts = {
  kind: 'hold-placed',
  job: 'purge-audit-logs',
  hold: { id: 3, name: 'case-17', sha256: digestOf('{}') },
  by: 'Jörg 🦊 (joerg@host)',
  reason: 'a letter\u2028of the court',
}

function keyPair(): { readonly signer: Signer; readonly verifier: Verifier } {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  return {
    signer: signerOf(Buffer.from(privateKey.export({ type: 'pkcs8', format: 'pem' })))!,
    verifier: verifierOf(Buffer.from(publicKey.export({ type: 'spki', format: 'pem' })))!,
  }
}

/** From the first on; each signed with the signer at its place, if there is one. */
function chain(length: number, signers: readonly (Signer | undefined)[] = []): SignedText[] {
  const made: SignedText[] = []
  for (let n = 1; n <= length; n += 1) {
    const previous = n === 1 ? null : digestOf(made.at(-1)!.text)
    const frame = { n, previous, at: n * 1_000, database: { engine: 'sqlite', name: 'gateway.db' }, worker: 'host-a:1', version: '1.2.3' }
    const text = receiptText(frame, FACTS)
    made.push({ text, signature: signers[n - 1]?.sign(text) })
  }
  return made
}

function checked(given: readonly SignedText[], keys: readonly Verifier[] = [], expect: readonly string[] = []): ChainVerdict {
  const check = new ChainCheck({ keys, expect })
  for (const [index, each] of given.entries()) check.add(`line ${index + 1}`, each)
  return check.end()
}

function pem(key: { export(options: object): string | Buffer }, type: string): Buffer {
  return Buffer.from(key.export({ type, format: 'pem' }))
}

function without<T>(given: readonly T[], index: number): T[] {
  return given.filter((_, at) => at !== index)
}

describe('a chain of receipts', () => {
  it('is sound from the first to the last, and from the middle on', () => {
    assert.deepEqual(checked(chain(5)).problems, [])
    assert.deepEqual(checked(chain(5).slice(2)).problems, [])
    assert.deepEqual([checked(chain(5)).first?.n, checked(chain(5)).last?.n, checked([]).receipts], [1, 5, 0])
  })

  it('names a receipt that was removed', () => {
    assert.deepEqual(checked(without(chain(5), 2)).problems, ['line 3: receipt 3 is missing before receipt 4'])
    assert.deepEqual(checked([chain(9)[0]!, chain(9)[8]!]).problems, ['line 2: receipts 2 to 8 are missing before receipt 9'])
  })

  it('names a receipt that was changed, by the one after it', () => {
    const all = chain(5)
    all[2] = { text: all[2]!.text.replace('a letter', 'a better'), signature: undefined }
    assert.deepEqual(checked(all).problems, ['line 4: receipt 4 does not follow from receipt 3 as it is: one of the two was changed'])
  })

  it('names receipts that were exchanged, and one that stands there twice', () => {
    const [first, second, third, fourth] = chain(4) as [SignedText, SignedText, SignedText, SignedText]
    assert.deepEqual(checked([first, third, second, fourth]).problems, [
      'line 2: receipt 2 is missing before receipt 3',
      'line 3: receipt 2 comes after receipt 3: they are in another order than they were written in',
      'line 4: receipt 3 is missing before receipt 4',
    ])
    assert.deepEqual(checked([first, second, second, third]).problems, ['line 3: receipt 2 stands there twice'])
  })

  it('cannot tell that its end was cut off, unless a digest from elsewhere is expected', () => {
    const all = chain(5)
    const cut = all.slice(0, 3)
    const last = digestOf(all[4]!.text)
    assert.deepEqual(checked(cut).problems, [])
    assert.match(checked(cut, [], [last]).problems.join(), new RegExp(`^no receipt has the digest ${last}`))
    assert.deepEqual(checked(all, [], [last]).problems, [])
  })

  it('names one that begins anew', () => {
    const [first, second] = chain(2) as [SignedText, SignedText]
    const anew = { text: second.text.replace(/"previous":"\w+"/, '"previous":null'), signature: undefined }
    assert.deepEqual(checked([anew]).problems, ['line 1: receipt 2 follows none, although its number is not 1'])
    const follows = { text: first.text.replace('"previous":null', `"previous":"${digestOf('x')}"`), signature: undefined }
    assert.deepEqual(checked([follows]).problems, ['line 1: receipt 1 follows another one, which is missing'])
  })

  it('says how many problems there are without naming each of a thousand', () => {
    const { problems } = checked(Array.from({ length: 1_000 }, () => ({ text: '{}', signature: undefined })))
    assert.equal(problems.length, 101)
    assert.equal(problems.at(-1), 'more of them were found, and are not named')
  })
})

describe('signatures of receipts', () => {
  const before = keyPair()
  const after = keyPair()

  it('are checked with the keys that are given, whichever of them has signed', () => {
    const all = chain(4, [before.signer, before.signer, after.signer, after.signer])
    assert.deepEqual(checked(all, [before.verifier, after.verifier]).problems, [])
    assert.deepEqual(checked(all, [before.verifier]).problems, [
      `line 3: receipt 3 is signed with the key "${after.signer.keyId}", which was not given`,
      `line 4: receipt 4 is signed with the key "${after.signer.keyId}", which was not given`,
    ])
    assert.deepEqual([checked(all).unchecked, checked(all, [before.verifier]).unchecked], [4, 0])
  })

  it('show a chain that was written anew by somebody without the key', () => {
    const anew = chain(3, [after.signer, after.signer, after.signer]).map(({ text, signature }) => ({
      text,
      signature: { keyId: before.signer.keyId, value: signature!.value },
    }))
    assert.deepEqual(
      checked(anew, [before.verifier]).problems[0],
      'line 1: the signature of receipt 1 is not that of its text: one of the two was changed',
    )
  })

  it('may be missing at the beginning, and not after a receipt that has one', () => {
    assert.deepEqual(checked(chain(3, [undefined, undefined, before.signer]), [before.verifier]).problems, [])
    assert.deepEqual(checked(chain(3, [before.signer, undefined, before.signer]), [before.verifier]).problems, [
      'line 2: receipt 2 is not signed, and receipt 1 before it is',
    ])
  })

  it('take ed25519 keys alone, private ones for signing and public ones for checking', () => {
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2_048 })
    const ed = generateKeyPairSync('ed25519')
    const locked = ed.privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' })
    for (const bad of [pem(rsa.privateKey, 'pkcs8'), pem(ed.publicKey, 'spki'), Buffer.from(locked), Buffer.from('x'), Buffer.alloc(0)])
      assert.equal(signerOf(bad), undefined)
    for (const bad of [pem(rsa.publicKey, 'spki'), pem(ed.privateKey, 'pkcs8'), Buffer.from('x')]) assert.equal(verifierOf(bad), undefined)
  })
})

describe('the text of a receipt', () => {
  it('is ASCII, whatever it says, and is read as it was meant', () => {
    const [{ text }] = chain(1) as [SignedText]
    assert.match(text, /^[ -~]+$/)
    const { by, reason } = parseReceipt(text)!.body
    assert.deepEqual([by, reason], [FACTS.by, FACTS.reason])
  })

  it('travels in an envelope, and nothing else is taken for one', () => {
    const [signed] = chain(1, [keyPair().signer]) as [SignedText]
    const line = envelopeLine(signed)
    assert.deepEqual(parseEnvelope(line), signed)
    const { payload } = JSON.parse(line) as { readonly payload: string }
    for (const bad of [
      '',
      '{}',
      'null',
      '[]',
      '1',
      line.slice(1),
      line.replace(payload, `${payload}=`),
      line.replace('receipt+json', 'other+json'),
      line.replace(/"signatures":.*/, '"signatures":[1]}'),
    ])
      assert.equal(parseEnvelope(bad), undefined, bad)
  })

  it('is no receipt with another format, number, digest or time', () => {
    const [{ text }] = chain(1) as [SignedText]
    assert.notEqual(parseReceipt(text), undefined)
    for (const [from, to] of [
      ['"format":1', '"format":2'],
      ['"n":1', '"n":0'],
      ['"n":1', '"n":"1"'],
      ['"previous":null', '"previous":"ab"'],
      ['"at":"1970', '"at":"x'],
      ['"kind":"hold-placed"', '"kind":1'],
    ] as const)
      assert.equal(parseReceipt(text.replace(from, to)), undefined, to)
  })
})
