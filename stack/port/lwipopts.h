/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lwIP's options, each with the reason for its value. lwIP is a TCP engine here: one private image
 * per core, entered only by the holder of the stack's lock, with its own list walks, timers, ARP,
 * fragmentation and socket layer left out because Gazelle has its own.
 */
#ifndef LWIPOPTS_H
#define LWIPOPTS_H

/* One thread at a time inside an image: no protection, no threads, no sleeping. */
#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_NETCONN 0
#define LWIP_SOCKET 0
#define LWIP_TIMERS 0 /* stack/timer.c: O(due), not O(connections) */
#define LWIP_MPU_COMPATIBLE 0

#define LWIP_IPV4 1
#define LWIP_IPV6 0
#define LWIP_ARP 0       /* node arp */
#define LWIP_ETHERNET 0
#define LWIP_RAW 0
#define LWIP_UDP 1
#define LWIP_TCP 1
#define LWIP_ICMP 1
#define LWIP_DHCP 0
#define LWIP_AUTOIP 0
#define LWIP_IGMP 0
#define LWIP_DNS 0
#define IP_FRAG 0        /* node ip4-frag; lwIP hands over packets longer than the MTU */
#define IP_REASSEMBLY 0  /* node ip4-reass */
#define IP_FORWARD 0
#define IP_OPTIONS_ALLOWED 1
#define LWIP_NETIF_LOOPBACK 0 /* node ip4-output loops what is for ourselves */
#define LWIP_HAVE_LOOPIF 0
#define LWIP_SINGLE_NETIF 1   /* a stack has one address: no route lookup per segment */
#define LWIP_CHECKSUM_ON_COPY 0

/* `classify` has verified, the port or `tx` fills in; the echo reply alone is fixed up in place. */
#define CHECKSUM_GEN_IP 0
#define CHECKSUM_GEN_UDP 0
#define CHECKSUM_GEN_TCP 0
#define CHECKSUM_GEN_ICMP 1
#define CHECKSUM_CHECK_IP 0
#define CHECKSUM_CHECK_UDP 0
#define CHECKSUM_CHECK_TCP 0
#define CHECKSUM_CHECK_ICMP 0

/* Memory: everything from the image's own size-class allocator (stack/heap.c). */
#define MEM_LIBC_MALLOC 1
#define MEMP_MEM_MALLOC 1
#define MEM_ALIGNMENT 8
#define mem_clib_malloc stack_heap_alloc
#define mem_clib_free stack_heap_free
#define mem_clib_calloc stack_heap_calloc
#include <stddef.h>
void *stack_heap_alloc(size_t size);
void *stack_heap_calloc(size_t n, size_t size);
void stack_heap_free(void *p);

/* pbufs: a received packet is a PBUF_REF in its mbuf's private area; 8 bits of references are few
 * where one page backs many segments. */
#define LWIP_PBUF_REF_T u32_t
#define PBUF_POOL_SIZE 0
#define PBUF_POOL_BUFSIZE 128
#define LWIP_SUPPORT_CUSTOM_PBUF 1
#define PBUF_LINK_HLEN 0 /* Ethernet headers are written by ip4-output, in the mbuf */
#define PBUF_LINK_ENCAPSULATION_HLEN 0

/* TCP */
#define TCP_MSS 8960                    /* ceiling; the MTU decides (eff. send MSS) */
#define TCP_CALCULATE_EFF_SEND_MSS 1
#define LWIP_WND_SCALE 1
#define TCP_RCV_SCALE 5                 /* 64 KB << 5 = 2 MB can be announced */
#define TCP_WND (1024 * 1024)           /* of every connection: bounds its rate to 1 MB per RTT,
                                         * 1 Gbit/s at 8 ms, 10 Gbit/s at 0.8 ms */
#define TCP_SND_BUF (64 * 1024 * 1024)  /* not a limit: the send ring in front of lwIP is */
#define TCP_SND_QUEUELEN 0xfff0
#define TCP_SNDLOWAT 0x4000
#define TCP_SNDQUEUELOWAT 0xff
#define TCP_OVERSIZE 0                  /* writes are gathered before lwIP sees them */
#define TCP_QUEUE_OOSEQ 1               /* SACK wants it; it stays empty, see tcp_rx_ooo.c */
#define LWIP_TCP_SACK_OUT 1
#define LWIP_TCP_MAX_SACK_NUM 4
#define LWIP_TCP_TIMESTAMPS 0           /* RTT is measured in stack/tcp_rtt.h */
#define LWIP_TCP_KEEPALIVE 1
#define TCP_LISTEN_BACKLOG 0            /* 8 bit; sock.c counts */
#define LWIP_TCP_PCB_NUM_EXT_ARGS 1     /* tells us of every pcb's birth and death */
#define TCP_TMR_INTERVAL 1
#define TCP_FAST_INTERVAL 1
#define TCP_SLOW_INTERVAL 1             /* unit of tcp_ticks and pcb->tmr: 1 ms */
#define TCP_MSL 30000UL                 /* TIME_WAIT 60 s like Linux */
#define TCP_MAXRTX 12 /* lwIP's own table ends there; tcp_timer.c counts to 15 like Linux */
#define TCP_SYNMAXRTX 6
#define SO_REUSE 1
#define LWIP_HOOK_TCP_ISN stack_hook_isn
#include <stdint.h>
struct ip4_addr;
uint32_t stack_hook_isn(const struct ip4_addr *local_ip, uint16_t local_port,
	const struct ip4_addr *remote_ip, uint16_t remote_port);

#define MEMP_NUM_TCP_PCB 1000000 /* no pools: malloc; kept for lwIP's sanity checks */
#define MEMP_NUM_TCP_SEG 1000000

/* Statistics: the MIB2 counters feed `gazellectl lstack show -s`; the rest costs and is not used. */
#define LWIP_STATS 1
#define MIB2_STATS 1
#define LINK_STATS 0
#define IP_STATS 0
#define ICMP_STATS 0
#define UDP_STATS 0
#define TCP_STATS 0
#define MEM_STATS 0
#define MEMP_STATS 0
#define SYS_STATS 0
#define IPFRAG_STATS 0
#define ETHARP_STATS 0
#define IGMP_STATS 0

/* libc's names stay libc's. */
#define LWIP_DONT_PROVIDE_BYTEORDER_FUNCTIONS 1
#define lwip_htons(x) __builtin_bswap16(x)
#define lwip_htonl(x) __builtin_bswap32(x)
#define LWIP_PROVIDE_ERRNO 0

#endif
