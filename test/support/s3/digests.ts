import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { S3Failure } from './answer.ts'
import type { S3Request } from './request.ts'
import { UNSIGNED } from './signature.ts'

const CHECKSUM = /^x-amz-checksum-(?!mode$|type$|algorithm$)/

/** Compares the body with every digest that the request has of it. `payload`: what was signed. */
export function verifyDigests({ headers, operation }: S3Request, payload: string, body: Buffer, needsDigest: boolean): void {
  if (headers.has('transfer-encoding'))
    throw new S3Failure(501, 'NotImplemented', 'A header you provided implies functionality that is not implemented: Transfer-Encoding')
  if ((operation === 'PutObject' || operation === 'DeleteObjects') && !headers.has('content-length'))
    throw new S3Failure(411, 'MissingContentLength', 'You must provide the Content-Length HTTP header.')
  if ((headers.get('content-encoding') ?? '').includes('aws-chunked') || headers.has('x-amz-trailer'))
    throw new S3Failure(501, 'NotImplemented', 'Bodies in chunks with a trailer are not implemented.')
  if (payload !== UNSIGNED && payload !== digest('sha256', body, 'hex'))
    throw new S3Failure(400, 'XAmzContentSHA256Mismatch', "The provided 'x-amz-content-sha256' header does not match what was computed.")
  const md5 = headers.get('content-md5')
  if (md5 !== undefined && Buffer.from(md5, 'base64').length !== 16)
    throw new S3Failure(400, 'InvalidDigest', 'The Content-MD5 you specified was invalid.')
  if (md5 !== undefined && md5 !== digest('md5', body, 'base64'))
    throw new S3Failure(400, 'BadDigest', 'The Content-MD5 you specified did not match what we received.')
  const checksums = [...headers].filter(([name]) => CHECKSUM.test(name))
  for (const [name, value] of checksums)
    if (value !== checksum(name, body))
      throw new S3Failure(400, 'BadDigest', `The ${name} you specified did not match the calculated checksum.`)
  if (needsDigest && md5 === undefined && checksums.length === 0)
    throw new S3Failure(400, 'InvalidRequest', 'Content-MD5 OR x-amz-checksum- HTTP header is required for this request')
}

export function md5Of(body: Buffer): string {
  return digest('md5', body, 'hex')
}

function checksum(name: string, body: Buffer): string {
  if (name === 'x-amz-checksum-sha256') return digest('sha256', body, 'base64')
  if (name === 'x-amz-checksum-sha1') return digest('sha1', body, 'base64')
  if (name !== 'x-amz-checksum-crc32') throw new S3Failure(501, 'NotImplemented', `${name} is not implemented.`)
  const sum = Buffer.alloc(4)
  sum.writeUInt32BE(crc32(body))
  return sum.toString('base64')
}

function digest(algorithm: string, body: Buffer, encoding: 'hex' | 'base64'): string {
  return createHash(algorithm).update(body).digest(encoding)
}
