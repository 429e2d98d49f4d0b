/** Scripts that a page runs before its own: they run in the browser, and are given to it as text. */

/** A camera that turns white, and a microphone that beeps, at the same moment, once a second. */
export const flashingCamera = `(() => {
  const media = async constraints => {
    const canvas = Object.assign(document.createElement('canvas'), { width: 640, height: 360 })
    const context = canvas.getContext('2d')
    const audio = new AudioContext({ sampleRate: 48000 })
    await audio.resume()
    const out = audio.createMediaStreamDestination()
    const gain = new GainNode(audio, { gain: 0 })
    const tone = new OscillatorNode(audio, { frequency: 1000 })
    tone.connect(gain).connect(out)
    tone.start()
    const first = audio.currentTime + 0.5
    for (let i = 0; i < 600; i++) {
      gain.gain.setValueAtTime(0.8, first + i)
      gain.gain.setValueAtTime(0, first + i + 0.2)
    }
    let x = 0
    setInterval(() => {
      const since = audio.currentTime - first
      const isBright = since >= 0 && since % 1 < 0.2
      context.fillStyle = isBright ? '#fff' : '#111'
      context.fillRect(0, 0, 640, 360)
      context.fillStyle = '#888'
      context.fillRect((x += 7) % 600, 300, 40, 40)
    }, 33)
    const video = canvas.captureStream(30)
    return new MediaStream([
      ...(constraints.video ? video.getVideoTracks() : []),
      ...(constraints.audio ? out.stream.getAudioTracks() : []),
    ])
  }
  navigator.mediaDevices.getUserMedia = media
})()`

/** Keeps what every MediaRecorder of the page gives: \`recorded()\` tells it in base64. */
export const keepRecordings = `(() => {
  const blobs = []
  const start = MediaRecorder.prototype.start
  MediaRecorder.prototype.start = function (...given) {
    this.addEventListener('dataavailable', event => blobs.push(event.data))
    return start.apply(this, given)
  }
  globalThis.recorded = async () => {
    const bytes = new Uint8Array(await new Blob(blobs).arrayBuffer())
    let text = ''
    for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192))
    return btoa(text)
  }
})()`

/** Counts what is appended to SourceBuffers, and how often there was no room: `appends` tells. */
export const countAppends = `(() => {
  const appends = (globalThis.appends = { appended: 0, refused: 0 })
  const append = SourceBuffer.prototype.appendBuffer
  SourceBuffer.prototype.appendBuffer = function (bytes) {
    try {
      append.call(this, bytes)
      appends.appended += bytes.byteLength
    } catch (error) {
      if (error.name === 'QuotaExceededError') appends.refused += 1
      throw error
    }
  }
})()`
