// A descriptor of the caller's, made fit for Asio without changing it for whoever else has it open.
#pragma once

namespace vmm {

/// What the descriptor is, as far as the console cares.
enum class StreamKind { Closed, Terminal, Pipe, Other };
enum class StreamDirection { In, Out };

/// Makes a descriptor of its own for the same thing: a second open file for terminals and pipes, so
/// that O_NONBLOCK stays ours; else a duplicate, whose flags the destructor puts back as they were.
class StdioStream {
 public:
  StdioStream(int original, StreamDirection direction);
  ~StdioStream();
  StdioStream(const StdioStream&) = delete;
  StdioStream& operator=(const StdioStream&) = delete;

  [[nodiscard]] StreamKind kind() const { return kind_; }
  /// -1 when Closed. Whoever takes it closes it.
  [[nodiscard]] int release();
  /// Puts the flags back; idempotent.
  void restore();

 private:
  int original_;
  StreamKind kind_ = StreamKind::Closed;
  int fd_ = -1;
  int flags_ = -1;  // to be put back; -1 when the open file is ours alone
};

}  // namespace vmm
