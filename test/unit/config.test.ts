import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { readConfig, settings } from '../../src/cli/config.ts'
import type { FramelogError } from '../../src/errors.ts'

const BOOTSTRAP_SERVERS = 'kafka:9092'

/** What is wrong with the settings, one after the other. */
const wrong = (env: Record<string, string>): string => {
  try {
    readConfig(env)
  } catch (error) {
    assert.equal((error as FramelogError).code, 'BAD_CONFIG')
    return (error as FramelogError).message
  }
  return ''
}

/** A value that the setting takes. */
const sensible = (name: string): string =>
  ({
    SECURITY_PROTOCOL: 'SSL',
    SASL_MECHANISMS: 'PLAIN',
    SSL_ENDPOINT_IDENTIFICATION_ALGORITHM: 'none',
    EMBEDDED_SYNC: 'always',
    RETENTION: '1h',
    PUBLISHER_GRACE: '1s',
    LOG_LEVEL: 'warn',
    PUBLIC_URL: 'https://video.example.org',
    DRAIN_TIME: '1s',
    GATHER_TIME: '50ms',
  })[name] ?? '1'

describe('the address of a gateway', () => {
  it('is an origin, and no more', () => {
    assert.equal(
      readConfig({ PUBLIC_URL: 'https://Video.example.org/' }).PUBLIC_URL,
      'https://video.example.org',
    )
    for (const value of [
      'video.example.org',
      'ftp://a',
      'https://a/b',
      'https://u:p@a',
      'https://a?b',
      'https://a#b',
    ])
      assert.match(wrong({ PUBLIC_URL: value }), /PUBLIC_URL is .*: expected an address/, value)
  })

  it('is served by a certificate and its key, or neither', () => {
    for (const name of ['TLS_CERTIFICATE', 'TLS_KEY'])
      assert.equal(wrong({ [name]: '/a.pem' }), 'TLS_CERTIFICATE and TLS_KEY go together')
  })
})

describe('the load of a gateway', () => {
  it('is gathered for milliseconds, up to a second', () => {
    for (const [value, milliseconds] of [
      ['0ms', 0],
      ['50ms', 50],
      ['1000ms', 1000],
    ] as const)
      assert.equal(readConfig({ GATHER_TIME: value }).GATHER_TIME, milliseconds)
    for (const value of ['-1ms', '1001ms', '50', '1s', 'ms'])
      assert.equal(
        wrong({ GATHER_TIME: value }),
        `GATHER_TIME is "${value}": expected milliseconds from 0ms to 1000ms`,
      )
  })

  it('is shared by up to 64 processes, over Kafka', () => {
    for (const [value, count] of [
      ['1', 1],
      ['64', 64],
    ] as const)
      assert.equal(readConfig({ BOOTSTRAP_SERVERS, WORKERS: value }).WORKERS, count)
    assert.ok(Number(readConfig({ BOOTSTRAP_SERVERS, WORKERS: 'auto' }).WORKERS) >= 1)
    for (const value of ['0', '65', '1.5', '-1', 'all'])
      assert.equal(
        wrong({ BOOTSTRAP_SERVERS, WORKERS: value }),
        `WORKERS is "${value}": expected a whole number from 1 to 64, or auto`,
      )
    assert.match(wrong({ WORKERS: '2' }), /^WORKERS makes 2 processes/)
  })
})

describe('a setting of the other log', () => {
  for (const [name, { only }] of Object.entries(settings)) {
    const value = sensible(name)
    if (only === 'Kafka')
      it(`${name} is refused without BOOTSTRAP_SERVERS`, () => {
        const message = `${name} is for Kafka, and BOOTSTRAP_SERVERS is not set`
        for (const none of [{}, { BOOTSTRAP_SERVERS: ' ' }])
          assert.ok(wrong({ ...none, [name]: value }).includes(message))
        assert.equal(wrong({ BOOTSTRAP_SERVERS, SASL_PASSWORD: 'p', [name]: value }), '')
        assert.equal(wrong({ [name]: '' }), '')
      })
    else if (only === 'embedded')
      it(`${name} is refused with BOOTSTRAP_SERVERS`, () => {
        const message = `${name} is for the embedded log, and BOOTSTRAP_SERVERS is set`
        assert.equal(wrong({ BOOTSTRAP_SERVERS, [name]: value }), message)
        assert.equal(wrong({ [name]: value }), '')
        assert.equal(wrong({ BOOTSTRAP_SERVERS, [name]: ' ' }), '')
      })
    else if (name !== 'BOOTSTRAP_SERVERS')
      it(`${name} is for both`, () => {
        const pair = name.startsWith('TLS_') ? { TLS_CERTIFICATE: value, TLS_KEY: value } : {}
        assert.equal(wrong({ ...pair, [name]: value }), '')
        assert.equal(wrong({ BOOTSTRAP_SERVERS, ...pair, [name]: value }), '')
      })
  }

  it('all of them are named in one place, by the names that were used', () => {
    const env = { SASL_MECHANISM: 'PLAIN', SSL_CA_LOCATION: '/ca', REPLICATION_FACTOR: '3' }
    const message =
      'SASL_MECHANISM, SSL_CA_LOCATION, REPLICATION_FACTOR are for Kafka, and BOOTSTRAP_SERVERS is not set'
    assert.equal(wrong(env), message)
  })

  it('leaves alone what is not ours', () => {
    assert.equal(wrong({ SSL_CERT_FILE: '/etc/ssl/cert.pem', SASL_LIKE: 'x', DATA: 'x' }), '')
  })
})

describe('what is meant for another setting', () => {
  for (const name of ['BOOTSTRAP_SERVER', 'KAFKA_BOOTSTRAP_SERVERS'])
    it(`${name} is refused where BOOTSTRAP_SERVERS is not set`, () => {
      const message = `${name} is no setting: BOOTSTRAP_SERVERS is, and it is not set`
      assert.equal(wrong({ [name]: 'kafka:9092' }), message)
      assert.equal(wrong({ BOOTSTRAP_SERVERS, [name]: 'kafka:9092' }), '')
      assert.equal(wrong({ [name]: '' }), '')
    })

  it('certificates cannot be left unchecked', () => {
    const name = 'ENABLE_SSL_CERTIFICATE_VERIFICATION'
    for (const value of ['false', 'False', '0'])
      assert.match(
        wrong({ BOOTSTRAP_SERVERS, [name]: value }),
        /ENABLE_SSL_CERTIFICATE_VERIFICATION is ".*": .* always verified; SSL_CA_LOCATION/,
      )
    for (const value of ['true', 'True', '']) assert.equal(wrong({ BOOTSTRAP_SERVERS, [name]: value }), '')
    assert.match(wrong({ [name]: 'true' }), /is for Kafka, and BOOTSTRAP_SERVERS is not set/)
  })
})

describe('RETENTION', () => {
  it('is a span or forever, and says so', () => {
    assert.equal(readConfig({ RETENTION: 'forever' }).RETENTION, undefined)
    assert.equal(readConfig({ RETENTION: '2h' }).RETENTION, 7_200_000)
    for (const value of ['long', 'Forever', '0h', '-1'])
      assert.equal(
        wrong({ RETENTION: value }),
        `RETENTION is "${value}": expected a span such as 30s, 10m, 24h or 7d, or forever`,
      )
    assert.doesNotMatch(wrong({ PUBLISHER_GRACE: 'forever' }), /, or forever/)
  })
})
