/** Packets that fill missing sound: ffmpeg decodes them to silence of their length. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, it } from 'node:test'
import { fragmentWriters } from '../../src/container/fragments.ts'
import { encodeBase64 } from '../../src/core/base64.ts'
import { configOfAac, durationOfAac, silentAac } from '../../src/media/aac.ts'
import type { AudioTrack } from '../../src/media/catalog.ts'
import { silentOpus, silentOpusDuration } from '../../src/media/opus.ts'
import { micros, trackName } from '../../src/units.ts'

describe('silence', () => {
  for (const channels of [1, 2]) {
    for (const codec of ['opus', 'mp4a.40.2']) {
      it(`of ${channels === 1 ? 'one channel' : 'two channels'} in ${codec} is silent, and as long as it says`, () => {
        const isOpus = codec === 'opus'
        const data = isOpus ? silentOpus(channels === 2) : silentAac(channels)
        const config = isOpus ? undefined : configOfAac(48_000, channels)
        assert.ok(data)
        const track: AudioTrack = {
          name: trackName('audio'),
          kind: 'audio',
          codec,
          sampleRate: 48_000,
          channels,
          ...(config === undefined ? {} : { description: encodeBase64(config) }),
        }
        const duration = micros(isOpus ? silentOpusDuration : durationOfAac(48_000))
        const writer = fragmentWriters(track)[0]?.()
        assert.ok(writer)
        const parts = Array.from({ length: 50 }, (_, i) =>
          writer.write({ timestamp: micros(i * duration), duration, keyframe: true, data }),
        )
        const { stdout, stderr } = spawnSync(
          'ffmpeg',
          ['-v', 'error', '-i', 'pipe:0', '-f', 's16le', '-c:a', 'pcm_s16le', 'pipe:1'],
          { input: Buffer.concat(parts.flat()), maxBuffer: 1 << 26 },
        )
        assert.equal(stderr.toString(), '')
        const samples = new Int16Array(stdout.buffer, stdout.byteOffset, stdout.byteLength >> 1)
        assert.equal(samples.length, 50 * Math.round((duration * 48_000) / 1e6) * channels)
        assert.ok(samples.every(sample => sample === 0))
      })
    }
  }
})
