/* Arrays in device memory that free themselves. */
#ifndef SPK_DRIVER_MEMORY_H
#define SPK_DRIVER_MEMORY_H

#include "../device/runtime.h"

namespace spk {

template <class T>
class DeviceArray {
 public:
  DeviceArray() = default;
  ~DeviceArray() { release(data_); }
  DeviceArray(const DeviceArray &) = delete;
  DeviceArray &operator=(const DeviceArray &) = delete;

  /* Make room for `count` elements.  The old contents are lost. */
  int resize(int64_t count) {
    release(data_);
    data_ = nullptr;
    bytes_ = 0;
    void *p = nullptr;
    const int status = allocate(&p, (size_t)count * sizeof(T));
    if (status != SPK_OK) return status;
    data_ = static_cast<T *>(p);
    bytes_ = (size_t)count * sizeof(T);
    return SPK_OK;
  }
  /* Copy an array of the host. */
  int assign(const T *from, int64_t count) {
    const int status = resize(count);
    return status == SPK_OK ? upload(data_, from, bytes_) : status;
  }
  T *data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  T *data_ = nullptr;
  size_t bytes_ = 0;
};

/* Frees what a packer made. */
template <class Packed, void (*give_back)(Packed *)>
struct Owned : Packed {
  Owned() : Packed() {}
  ~Owned() { give_back(this); }
  Owned(const Owned &) = delete;
  Owned &operator=(const Owned &) = delete;
};

} // namespace spk

#endif
