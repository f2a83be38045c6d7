// OpenAI's Agents SDK in a browser, over WebRTC: a turn, a tool, an answer that a second turn interrupts, an answer.
// The microphone hears a file that says one turn again and again; the session is muted but for two of them.
async ({ bundle, url, key }) => {
  const { RealtimeAgent, RealtimeSession, OpenAIRealtimeWebRTC, tool } = await import(bundle);
  const seen = [], errors = [], levels = [];
  const weather = tool({
    name: "weather",
    description: "Tells the weather.",
    parameters: {
      type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false,
    },
    strict: true,
    execute: async ({ city }) => `sunny in ${city}`,
  });
  const agent = new RealtimeAgent({ name: "Agent", instructions: "Be brief.", tools: [weather] });
  const constraints = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  const mediaStream = await navigator.mediaDevices.getUserMedia({ audio: constraints });
  const audioElement = document.createElement("audio");
  const transport = new OpenAIRealtimeWebRTC({ mediaStream, audioElement, baseUrl: url });
  const session = new RealtimeSession(agent, { transport, tracingDisabled: true });
  session.on("error", ({ error }) => errors.push(String(error?.error?.message ?? error)));
  session.on("agent_tool_end", () => seen.push("tool_end"));
  const waiting = new Map();
  const happens = (type) => new Promise((resolve) => waiting.set(type, resolve));
  session.on("transport_event", (event) => {
    seen.push(event.type);
    if (event.type === "error") errors.push(event.error.message);
    waiting.get(event.type)?.(event);
  });
  const say = async () => {
    const ended = happens("input_audio_buffer.speech_stopped");
    session.mute(false);
    await ended;
    session.mute(true);
  };
  await session.connect({ apiKey: key });
  session.mute(true);
  const { callId } = transport;
  const context = new AudioContext();
  const meter = context.createAnalyser();
  context.createMediaStreamSource(audioElement.srcObject).connect(meter);
  const samples = new Float32Array(meter.fftSize);
  const metering = setInterval(() => {
    meter.getFloatTimeDomainData(samples);
    levels.push([performance.now(), Math.max(...samples.map(Math.abs))]);
  }, 10);
  const playing = happens("output_audio_buffer.started");
  await say();
  const { response_id: first } = await playing;
  await new Promise((resolve) => setTimeout(resolve, 1500)); // of the answer are played
  const heard = Math.max(...levels.map(([, level]) => level));
  const cleared = happens("output_audio_buffer.cleared"), last = happens("output_audio_buffer.stopped");
  const saying = say();
  const { response_id: cut } = await cleared;
  const clearedAt = performance.now();
  await saying;
  await last;
  clearInterval(metering);
  const quietAt = levels.find(([at, level]) => at > clearedAt && level < 0.01)?.[0];
  const history = session.history.map((item) => ({ ...item, context: undefined }));
  session.close();
  await context.close();
  return { seen, errors, callId, heard, sameAnswer: first === cut, silentMs: quietAt - clearedAt, history };
}
