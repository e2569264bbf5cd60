//! The client: a closed loop over kept-alive connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One round of one scenario over one route.
pub struct Measured {
    /// One connection.
    pub single: Run,
    /// Many.
    pub many: Run,
    /// CPU time of the route's process a request, while many ran, in microseconds.
    pub cpu_us: f64,
}

/// What a client saw.
pub struct Run {
    /// Every latency in microseconds, sorted.
    pub latencies_us: Vec<f64>,
    /// How long all of it took.
    pub took: Duration,
}

/// Sends `requests` requests over `connections` connections.
pub fn run(address: SocketAddr, request: &[u8], connections: usize, requests: usize) -> io::Result<Run> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let request: Arc<[u8]> = request.into();
        let left = Arc::new(AtomicUsize::new(requests));
        let mut clients = tokio::task::JoinSet::new();
        let began = Instant::now();
        for _ in 0..connections {
            clients.spawn(client(address, request.clone(), left.clone()));
        }
        let mut latencies_us = Vec::with_capacity(requests);
        while let Some(done) = clients.join_next().await {
            latencies_us.extend(done.map_err(io::Error::other)??);
        }
        let took = began.elapsed();
        latencies_us.sort_by(f64::total_cmp);
        Ok(Run { latencies_us, took })
    })
}

/// Opens `count` streams, reads the first bytes of each, and tells how much memory each takes in the gateway.
pub fn hold_streams(address: SocketAddr, request: &[u8], count: usize, resident: impl Fn() -> u64) -> io::Result<u64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut streams = Vec::with_capacity(count);
        let before = resident();
        for _ in 0..count {
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(request).await?;
            let mut buffer = [0; 4096];
            let mut seen = Vec::new();
            while !contains(&seen, b"word") {
                let read = stream.read(&mut buffer).await?;
                if read == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                seen.extend_from_slice(buffer.get(..read).unwrap_or_default());
            }
            streams.push(stream);
        }
        Ok(resident().saturating_sub(before) / count as u64)
    })
}

async fn client(address: SocketAddr, request: Arc<[u8]>, left: Arc<AtomicUsize>) -> io::Result<Vec<f64>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(1 << 16);
    let mut latencies = Vec::new();
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
        let began = Instant::now();
        stream.write_all(&request).await?;
        read_answer(&mut stream, &mut buffer).await?;
        latencies.push(began.elapsed().as_secs_f64() * 1e6);
    }
    Ok(latencies)
}

async fn read_answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<()> {
    buffer.clear();
    let head_end = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    let head = String::from_utf8_lossy(buffer.get(..head_end).unwrap_or_default()).to_ascii_lowercase();
    if !head.starts_with("http/1.1 200") {
        return Err(io::Error::other(format!("not a 200: {head}")));
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    let is_whole = |buffer: &[u8]| match length {
        Some(length) => buffer.len() >= head_end + length,
        None => buffer.ends_with(b"0\r\n\r\n"),
    };
    while !is_whole(buffer) {
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    if length.is_none() && !contains(buffer, b"[DONE]") && !contains(buffer, b"message_stop") {
        return Err(io::Error::other("a stream without an end"));
    }
    Ok(())
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}
