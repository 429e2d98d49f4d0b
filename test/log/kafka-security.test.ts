/** Every way to log in, on a real broker with certificates made for it, and what each wrong setting is told. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import {
  type Acl,
  AclOperations,
  AclPermissionTypes,
  createAclsV3,
  ResourcePatternTypes,
  ResourceTypes,
} from '@platformatic/kafka'
import { FramelogError } from '../../src/errors.ts'
import { type KafkaLogOptions, openKafkaLog, type SaslMechanism } from '../../src/log/kafka/kafka-log.ts'
import type { Log } from '../../src/log/log.ts'
import { millis, offset } from '../../src/units.ts'
import { connectTo, type KafkaCluster, type SecuredAccess, startBrokers } from '../support/kafka.ts'
import { freePort } from '../support/kafka-process.ts'
import { logContract } from './contract.ts'
import { TailReader } from './tail-reader.ts'

const folder = mkdtempSync(join(tmpdir(), 'framelog-security-'))
let cluster: KafkaCluster

const shortSessions = Object.fromEntries(
  ['scram-sha-256', 'oauthbearer'].map(each => [
    `listener.name.sasl_ssl.${each}.connections.max.reauth.ms`,
    2000,
  ]),
)

before(async () => {
  cluster = await startBrokers({ secured: true, properties: shortSessions })
})
after(async () => {
  rmSync(folder, { recursive: true, force: true })
  await cluster?.[Symbol.asyncDispose]()
})

const secured = (): SecuredAccess => cluster.secured ?? assert.fail('the cluster has no such listeners')
const certificates = () => secured().certificates

const open = (options: Partial<KafkaLogOptions>): Promise<Log> =>
  openKafkaLog({ bootstrapServers: secured().tls, ...options })

/** By SASL_SSL, which is the default once there is a user name. */
const logIn = (saslMechanism: SaslMechanism, extra: Partial<KafkaLogOptions> = {}): Promise<Log> => {
  const { saslTls: bootstrapServers, username, password } = secured()
  const tls = { caLocation: certificates().authority }
  return open({ bootstrapServers, username, password, saslMechanism, tls, ...extra })
}

const byTls = (tls: KafkaLogOptions['tls'], extra: Partial<KafkaLogOptions> = {}): Promise<Log> =>
  open({ securityProtocol: 'SSL', tls, ...extra })

const record = (value: string) => ({
  key: 'video',
  value: Buffer.from(value),
  headers: [],
  timestamp: millis(Date.now()),
})

const works = async (opening: Promise<Log>): Promise<void> => {
  await using log = await opening
  assert.equal(await log.find(`nothing-${randomUUID()}`), undefined)
}

/** Within seconds, in one line, with a code, naming the setting. */
const refuses = async (opening: Promise<Log>, code: string, naming: RegExp): Promise<void> => {
  const begin = performance.now()
  await assert.rejects(opening, (error: unknown) => {
    assert.ok(error instanceof FramelogError, String(error))
    assert.equal(error.code, code, error.message)
    assert.match(error.toLine(), naming)
    assert.doesNotMatch(error.toLine(), /\n/)
    return true
  })
  assert.ok(performance.now() - begin < 7000, 'it says so within seconds')
}

for (const mechanism of ['PLAIN', 'SCRAM-SHA-512'] as const)
  logContract(`the Kafka log by SASL_SSL and ${mechanism}`, options => logIn(mechanism, options))

describe('logging in', { timeout: 60_000 }, () => {
  for (const mechanism of ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const) {
    it(`works by ${mechanism}`, () => works(logIn(mechanism)))

    it(`names SASL_PASSWORD where it is wrong, by ${mechanism}`, () =>
      refuses(logIn(mechanism, { password: 'wrong' }), 'LOG_AUTHENTICATION', /SASL_PASSWORD/))
  }

  it('works without TLS', () =>
    works(logIn('PLAIN', { bootstrapServers: secured().sasl, securityProtocol: 'SASL_PLAINTEXT', tls: {} })))

  it('names SASL_MECHANISMS, and what there is, where the broker does not take it', async () => {
    const plain = { bootstrapServers: secured().sasl, securityProtocol: 'SASL_PLAINTEXT', tls: {} } as const
    const naming = /SASL_MECHANISMS.*PLAIN, SCRAM-SHA-256/
    await refuses(logIn('SCRAM-SHA-512', plain), 'LOG_AUTHENTICATION', naming)
  })

  it('says so where a password is wanted and none is given', () =>
    refuses(open({ bootstrapServers: secured().sasl }), 'LOG_AUTHENTICATION', /password|SASL/))

  it('names SECURITY_PROTOCOL where the broker asks for no log-in', async () => {
    const { bootstrapServers } = cluster
    const plain = { bootstrapServers, securityProtocol: 'SASL_PLAINTEXT', tls: {} } as const
    await refuses(logIn('PLAIN', plain), 'LOG_AUTHENTICATION', /without SASL_.*\. Check SECURITY_PROTOCOL/)
  })

  it('names the settings that are missing', async () => {
    await refuses(logIn('PLAIN', { password: undefined }), 'BAD_CONFIG', /SASL_PASSWORD/)
    await refuses(logIn('OAUTHBEARER'), 'BAD_CONFIG', /SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL/)
    await refuses(open({ tls: { caLocation: '/x' } }), 'BAD_CONFIG', /SECURITY_PROTOCOL/)
  })

  it('goes on over the end of every session, by connections of new sessions', async () => {
    await using log = await logIn('SCRAM-SHA-256')
    const topic = await log.create(`sessions-${randomUUID()}`, {})
    using tail = new TailReader(log, topic, offset(0))
    const appends: Promise<unknown>[] = []
    // Three lives of a session.
    const end = Date.now() + 6000
    while (Date.now() < end) {
      appends.push(log.append(topic, [record(String(appends.length))]))
      await tail.until(appends.length)
    }
    await Promise.all(appends)
    const written = appends.map((_, i) => String(i))
    assert.deepEqual(tail.values, written, 'each once, and in order: no append was sent again')
    await log.delete(topic)
  })
})

/** A token without a signature, as the test's broker takes it. */
function token(seconds: number): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const now = Math.floor(Date.now() / 1000)
  return `${part({ alg: 'none' })}.${part({ sub: 'viewer', iat: now, exp: now + seconds })}.`
}

describe('logging in by OAUTHBEARER', { timeout: 60_000 }, () => {
  const asked: { authorization: string | undefined; body: string }[] = []
  let answer: () => { status: number; body: unknown }
  const server = createServer(async (request: IncomingMessage, response) => {
    let body = ''
    for await (const chunk of request) body += String(chunk)
    asked.push({ authorization: request.headers.authorization, body })
    const { status, body: json } = answer()
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(json))
  })
  let tokenEndpointUrl = ''
  before(async () => {
    await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
    const { port } = server.address() as { port: number }
    tokenEndpointUrl = `http://127.0.0.1:${port}/token`
  })
  after(() => {
    server.closeAllConnections()
    server.close()
  })
  const byTokens = (extra: KafkaLogOptions['oauth'] = {}): Promise<Log> => {
    const oauth = { tokenEndpointUrl, clientId: 'gate way', clientSecret: 'secret', scope: 'video', ...extra }
    return logIn('OAUTHBEARER', { oauth, username: undefined, password: undefined })
  }

  it('asks the endpoint once for all connections, and again before the token ends', async () => {
    answer = () => ({ status: 200, body: { access_token: token(4), token_type: 'Bearer', expires_in: 4 } })
    asked.length = 0
    await using log = await byTokens()
    const topic = await log.create(`tokens-${randomUUID()}`, {})
    await log.append(topic, [record('0')])
    assert.equal(asked.length, 1)
    const basic = `Basic ${Buffer.from('gate%20way:secret').toString('base64')}`
    assert.deepEqual(asked[0], { authorization: basic, body: 'grant_type=client_credentials&scope=video' })
    using tail = new TailReader(log, topic, offset(0))
    for (let i = 1; asked.length < 3; i++) {
      await log.append(topic, [record(String(i))])
      await tail.until(i + 1)
    }
    await log.delete(topic)
  })

  it('takes the token from a file, as it is when it is needed', async () => {
    const tokenFile = join(folder, 'token')
    writeFileSync(tokenFile, `${token(600)}\n`)
    await works(byTokens({ tokenEndpointUrl: undefined, tokenFile }))
  })

  it('says that the log-in fails where the file goes later, and goes on when it is back', async () => {
    const tokenFile = join(folder, 'token-that-goes')
    writeFileSync(tokenFile, token(600))
    const told = Promise.withResolvers<string>()
    const oauth = { tokenFile }
    await using log = await logIn('OAUTHBEARER', {
      oauth,
      username: undefined,
      password: undefined,
      onWarning: told.resolve,
    })
    const topic = await log.create(`token-file-${randomUUID()}`, {})
    rmSync(tokenFile)
    const appended = log.append(topic, [record('a')])
    assert.match(await told.promise, /SASL_OAUTHBEARER_TOKEN_FILE.*ENOENT.*LOG_AUTHENTICATION/)
    writeFileSync(tokenFile, token(600))
    assert.equal(await appended, 0)
    await log.delete(topic)
  })

  it('names what is wrong', async () => {
    const refused = 'LOG_AUTHENTICATION'
    answer = () => ({ status: 200, body: { access_token: token(-10), expires_in: 60 } })
    await refuses(byTokens(), refused, /token/)
    answer = () => ({ status: 401, body: { error: 'invalid_client' } })
    await refuses(byTokens(), refused, /401.*SASL_OAUTHBEARER_CLIENT_ID/)
    answer = () => ({ status: 200, body: ['nothing of use'] })
    await refuses(byTokens(), refused, /access_token/)
    const nobody = `http://127.0.0.1:${await freePort()}/`
    await refuses(byTokens({ tokenEndpointUrl: nobody }), refused, /TOKEN_ENDPOINT_URL.*ECONNREFUSED/)
    const tokenFile = join(folder, 'no-token')
    const fromFile = { tokenEndpointUrl: undefined, tokenFile }
    await refuses(byTokens(fromFile), 'BAD_CONFIG', /SASL_OAUTHBEARER_TOKEN_FILE.*ENOENT/)
    writeFileSync(tokenFile, '\n')
    await refuses(byTokens(fromFile), 'BAD_CONFIG', /SASL_OAUTHBEARER_TOKEN_FILE.*empty/)
    await refuses(byTokens({ clientSecret: undefined }), 'BAD_CONFIG', /SASL_OAUTHBEARER_CLIENT_SECRET/)
    await refuses(byTokens({ tokenEndpointUrl: 'ftp://x' }), 'BAD_CONFIG', /TOKEN_ENDPOINT_URL/)
    await refuses(byTokens({ extensions: 'what' }), 'BAD_CONFIG', /SASL_OAUTHBEARER_EXTENSIONS/)
  })
})

describe('TLS', { timeout: 60_000 }, () => {
  it('trusts the authority in SSL_CA_LOCATION', () => works(byTls({ caLocation: certificates().authority })))

  it('trusts the authorities that Node was told of', async () => {
    const module = JSON.stringify(import.meta.resolve('../../src/log/kafka/kafka-log.ts'))
    const script = `import { openKafkaLog } from ${module}
      await using log = await openKafkaLog({ bootstrapServers: '${secured().tls}', securityProtocol: 'SSL' })
      process.stdout.write(String(await log.find('nothing')))`
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--input-type=module', '--eval', script],
      {
        env: { ...process.env, NODE_EXTRA_CA_CERTS: certificates().authority },
      },
    )
    assert.equal(stdout, 'undefined')
  })

  it('names SSL_CA_LOCATION where it holds another authority, or none is named', async () => {
    const naming = /SSL_CA_LOCATION does not hold/
    await refuses(byTls({ caLocation: certificates().otherAuthority }), 'LOG_CERTIFICATE', naming)
    const unset = /SSL_CA_LOCATION is not set, and no authority that Node knows/
    await refuses(byTls({}), 'LOG_CERTIFICATE', unset)
  })

  it('names SECURITY_PROTOCOL where it is not what the listener speaks', async () => {
    const { bootstrapServers } = cluster
    await refuses(byTls({}, { bootstrapServers }), 'LOG_TLS', /SECURITY_PROTOCOL should be PLAINTEXT/)
    await refuses(open({}), 'LOG_TLS', /SECURITY_PROTOCOL should be SSL/)
  })

  it('wants a certificate for the name, unless told not to mind', async () => {
    const { misnamedTls: bootstrapServers } = secured()
    const { authority: caLocation } = certificates()
    const naming = /SSL_ENDPOINT_IDENTIFICATION_ALGORITHM/
    await refuses(byTls({ caLocation }, { bootstrapServers }), 'LOG_CERTIFICATE', naming)
    await works(byTls({ caLocation, endpointIdentification: 'none' }, { bootstrapServers }))
  })

  it('shows a client certificate, its key behind a password or not', async () => {
    const { mutualTls: bootstrapServers } = secured()
    const { authority: caLocation, certificate: certificateLocation, ...keys } = certificates()
    const shows = (more: object) => byTls({ caLocation, ...more }, { bootstrapServers })
    await works(shows({ certificateLocation, keyLocation: keys.key }))
    const locked = { certificateLocation, keyLocation: keys.lockedKey }
    await works(shows({ ...locked, keyPassword: keys.keyPassword }))
    await refuses(shows({ ...locked, keyPassword: 'x' }), 'BAD_CONFIG', /SSL_KEY_PASSWORD/)
    await refuses(shows({}), 'LOG_CERTIFICATE', /client certificate.*SSL_CERTIFICATE_LOCATION/)
    const other = { certificateLocation: keys.otherCertificate, keyLocation: keys.otherKey }
    await refuses(shows(other), 'LOG_CERTIFICATE', /SSL_CERTIFICATE_LOCATION/)
    const mixed = { certificateLocation, keyLocation: keys.otherKey }
    await refuses(shows(mixed), 'BAD_CONFIG', /SSL_KEY_LOCATION/)
    await refuses(shows({ certificateLocation }), 'BAD_CONFIG', /SSL_KEY_LOCATION/)
  })

  it('names the file that cannot be used', async () => {
    const rubbish = join(folder, 'rubbish.pem')
    writeFileSync(rubbish, 'nothing of use')
    await refuses(byTls({ caLocation: rubbish }), 'BAD_CONFIG', /SSL_CA_LOCATION.*no PEM/)
    await refuses(byTls({ caLocation: join(folder, 'none') }), 'BAD_CONFIG', /SSL_CA_LOCATION.*ENOENT/)
    const pair = { certificateLocation: rubbish, keyLocation: certificates().key }
    await refuses(byTls(pair), 'BAD_CONFIG', /SSL_CERTIFICATE_LOCATION.*no readable PEM/)
    const keyLocation = { certificateLocation: certificates().certificate, keyLocation: rubbish }
    await refuses(byTls(keyLocation), 'BAD_CONFIG', /SSL_KEY_LOCATION.*no readable PEM/)
  })

  it('takes up files that were renewed, keeps the last ones while there are none, and says what fails', async () => {
    const caLocation = join(folder, 'authority.pem')
    copyFileSync(certificates().authority, caLocation)
    const told = Promise.withResolvers<string>()
    await using log = await byTls({ caLocation }, { onWarning: told.resolve })
    rmSync(caLocation)
    // Connections of other roles are made now.
    const topic = await log.create(`renewed-${randomUUID()}`, {})
    copyFileSync(certificates().otherAuthority, caLocation)
    const appended = log.append(topic, [record('a')])
    assert.match(await told.promise, /SSL_CA_LOCATION does not hold.*LOG_CERTIFICATE/)
    copyFileSync(certificates().authority, caLocation)
    assert.equal(await appended, 0)
    await log.delete(topic)
  })
})

describe('a user without the rights', { timeout: 60_000 }, () => {
  const prefix = `denied-${randomUUID()}-`
  const limited = (): Promise<Log> => logIn('PLAIN', { username: secured().limitedUser })
  const acl = (
    resource: { type: 'TOPIC' | 'CLUSTER'; name: string },
    principal: string,
    operation: keyof typeof AclOperations,
    permission: 'ALLOW' | 'DENY' = 'DENY',
  ): Acl => ({
    resourceType: ResourceTypes[resource.type],
    resourceName: resource.name,
    resourcePatternType:
      resource.type === 'TOPIC' ? ResourcePatternTypes.PREFIXED : ResourcePatternTypes.LITERAL,
    principal: `User:${principal}`,
    host: '*',
    operation: AclOperations[operation],
    permissionType: AclPermissionTypes[permission],
  })

  before(async () => {
    const connection = await connectTo(cluster.bootstrapServers)
    const { limitedUser } = secured()
    const topics = { type: 'TOPIC', name: prefix } as const
    const unreadable = { type: 'TOPIC', name: `un${prefix}` } as const
    const whole = { type: 'CLUSTER', name: 'kafka-cluster' } as const
    const forbidden = (['CREATE', 'WRITE', 'DELETE'] as const).map(each => acl(topics, limitedUser, each))
    await createAclsV3.api.async(connection, [
      ...forbidden,
      acl(unreadable, limitedUser, 'READ'),
      // A right on the cluster would be one on all topics.
      acl(whole, limitedUser, 'CREATE'),
      acl(whole, limitedUser, 'DELETE'),
      // What has any rule is closed to all but those whom a rule lets in.
      ...[topics, unreadable, whole].map(each => acl(each, '*', 'ALL', 'ALLOW')),
    ])
    await connection.close()
  })

  const naming = /SASL_USERNAME/
  it('is told so when it makes, writes or deletes a topic', async () => {
    await using log = await limited()
    await using other = await logIn('PLAIN')
    const topic = await other.create(`${prefix}topic`, {})
    const refusal = (error: unknown): boolean => {
      assert.ok(error instanceof FramelogError)
      assert.equal(error.code, 'LOG_AUTHORIZATION')
      assert.match(error.toLine(), naming)
      assert.ok(error.message.includes(prefix), error.message)
      return true
    }
    await assert.rejects(log.create(`${prefix}new`, {}), refusal)
    await assert.rejects(log.append(topic, [record('a')]), refusal)
    await assert.rejects(log.delete(topic), refusal)
    await other.delete(topic)
  })

  it('is told so when it reads, at once and in a tail', async () => {
    await using log = await limited()
    await using other = await logIn('PLAIN')
    const topic = await other.create(`un${prefix}topic`, {})
    await other.append(topic, [record('a')])
    await assert.rejects(log.read(topic, offset(0), 1024), { code: 'LOG_AUTHORIZATION' })
    using tail = new TailReader(log, topic, offset(0))
    assert.equal((await tail.ended).code, 'LOG_AUTHORIZATION')
    await other.delete(topic)
  })

  it('uses a topic that is there without the right to make one', async () => {
    await using log = await limited()
    await using other = await logIn('PLAIN')
    const topic = await other.create(`${prefix}made`, {})
    assert.deepEqual(await log.create(topic.name, {}), topic)
    await other.delete(topic)
  })
})
