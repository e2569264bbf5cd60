// OpenAI's SDK for Node.

import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";

import { GATEWAY, MODELS, PNG, PNG_SHA256, QUESTION, RAIN, Verdict } from "./samples.js";

const client = new OpenAI({ baseURL: `${GATEWAY}/v1`, apiKey: "unused", timeout: 12_000, maxRetries: 0 });
const hello = [{ role: "user", content: "Hello there" }];
const tools = [
  {
    type: "function",
    function: {
      name: "weather",
      parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false },
    },
  },
];

for (const model of MODELS) {
  const provider = model.split("/")[0];

  test(`${provider}: a plain answer`, async () => {
    const reply = await client.chat.completions.create({ model, messages: hello });
    assert.match(reply.choices[0].message.content, /Hello there/);
    assert.equal(reply.choices[0].finish_reason, "stop");
    assert.equal(reply.usage.total_tokens, reply.usage.prompt_tokens + reply.usage.completion_tokens);
  });

  test(`${provider}: a stream`, async () => {
    const stream = await client.chat.completions.create({ model, messages: hello, stream: true, stream_options: { include_usage: true } });
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    assert.match(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join(""), /Hello there/);
    assert.ok(chunks.length > 3 && chunks.at(-1).usage.completion_tokens > 0);
  });

  test(`${provider}: an image`, async () => {
    const url = `data:image/png;base64,${PNG.toString("base64")}`;
    const content = [
      { type: "text", text: "What is it?" },
      { type: "image_url", image_url: { url } },
    ];
    const reply = await client.chat.completions.create({ model, messages: [{ role: "user", content }] });
    assert.ok(reply.choices[0].message.content.includes(PNG_SHA256));
  });

  test(`${provider}: the SDK's loop of tools`, async () => {
    const asked = [];
    const weather = ({ city }) => {
      asked.push(city);
      return RAIN;
    };
    const [tool] = tools;
    const runner = client.chat.completions.runTools({
      model,
      messages: [{ role: "user", content: QUESTION }],
      tools: [{ ...tool, function: { ...tool.function, function: weather, parse: JSON.parse } }],
      stream: true,
    });
    assert.ok((await runner.finalContent()).includes(RAIN));
    assert.equal(asked.length, 1);
  });

  test(`${provider}: a structured answer`, async () => {
    const reply = await client.chat.completions.parse({ model, messages: hello, response_format: zodResponseFormat(Verdict, "verdict") });
    assert.ok(Verdict.parse(reply.choices[0].message.parsed));
  });

  test(`${provider}: a bad request has its class`, async () => {
    const asked = client.chat.completions.create({ model: `${provider}/fail-400`, messages: hello });
    await assert.rejects(asked, (error) => error instanceof OpenAI.BadRequestError && error.type === "invalid_request_error");
  });

  test(`${provider}: a stream that breaks throws`, async () => {
    const stream = await client.chat.completions.create({ model: `${provider}/error-mid`, messages: hello, stream: true });
    await assert.rejects(async () => {
      for await (const _ of stream);
    }, OpenAI.APIError);
  });
}

test("models are listed", async () => {
  const ids = [];
  for await (const model of client.models.list()) ids.push(model.id);
  assert.ok(ids.includes("prompt-rewrite"));
});
